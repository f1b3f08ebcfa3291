"""Images: rows in the table `images` (by id, the digest of the config), configs and layer tars in `content`, trees in `snapshots`.

`service.ImageService` is the door; everything else is used by it alone.
"""
