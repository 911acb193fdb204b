"""Drawing garments from parameters: silhouettes, fabrics, views, and a shop that decides what is drawn."""
