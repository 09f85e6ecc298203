"""Region features and boxes of images. They stay on disk and are read row by row, unless asked to be resident."""
