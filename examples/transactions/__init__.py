"""A sign-up in three frameworks: the user's row and the job that welcomes them are one transaction."""
