"""Phrases with boxes in the format of Flickr30K Entities (Plummer et al., ICCV 2015).

``Sentences/{image}.txt`` has one sentence a line, its phrases as ``[/EN#id/type some words]``, and
``Annotations/{image}.xml`` the boxes of the ids.
"""
