"""Doing what a plan says, and writing down what came of it before anything else happens."""
