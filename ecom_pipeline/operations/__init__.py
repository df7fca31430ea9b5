"""Keeping a shop home well: the doctor, backups, health for monitors, alerts. Nothing here imports Dagster."""
