"""Grafana's dashboards, written as code, and their pictures for the pages."""
