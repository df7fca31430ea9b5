"""The data side of a night on a Spark cluster. Needs the extra `spark`; importing this package does not.

What belongs here: sessions, the standalone cluster, tables as Parquet at a storage root, and running the files of
`sql/` on them as they are. No SQL of tables lives here, and nothing that changes SQL.
"""
