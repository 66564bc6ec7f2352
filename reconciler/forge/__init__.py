"""Commenting: one comment on a pull or merge request, kept up to date; described as requests, sent by others."""
