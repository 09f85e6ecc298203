"""An evaluation of COCO's 5,000 test images against ECCV Caption and CxC, which know more right answers than COCO does.

``judging`` is the entry.
"""
