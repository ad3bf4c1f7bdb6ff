"""What sends: sessions, connections and the sockets below them."""
