"""What a detector is worth: COCO numbers, what it finds and what it confuses, and how sure that is."""
