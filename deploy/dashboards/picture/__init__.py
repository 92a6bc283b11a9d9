"""Dashboards drawn for the pages: laid out as Grafana would, with the same queries, thresholds and units."""
