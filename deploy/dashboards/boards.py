"""All dashboards, in the order in which to read them."""

from deploy.dashboards.board import Board
from deploy.dashboards.kafka import KAFKA
from deploy.dashboards.overview import OVERVIEW
from deploy.dashboards.pipeline import PIPELINE
from deploy.dashboards.producers import PRODUCERS
from deploy.dashboards.quality import QUALITY
from deploy.dashboards.shoppers import SHOPPERS

BOARDS: tuple[Board, ...] = (OVERVIEW, PIPELINE, QUALITY, SHOPPERS, PRODUCERS, KAFKA)
