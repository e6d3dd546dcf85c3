//! See what a trained convolutional network has learned: feature visualization.
