package api

// StreamTrailer is the trailer of an answer that brings a stream: what has broken
// it, empty if nothing has. Whoever does not find the stream's own end is not to
// take it for whole, whatever the trailer says.
const StreamTrailer = "Nicferry-Stream-Broke"
