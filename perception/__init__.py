"""Detection, tracking, forecasting, streaming and viewing."""
