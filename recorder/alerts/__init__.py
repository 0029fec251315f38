"""Alerts: rules on new rows and on the recorder's health, sent where somebody looks."""
