// Package wire sends a cloud's answers as far as its faults let them through.
package wire

import (
	"cmp"
	"net"
	"net/http"
	"strconv"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

// Send answers with the status and the body, whose headers are set, or does what the
// wire shall do instead. It may panic with http.ErrAbortHandler, which ends the
// connection without a word.
func Send(w http.ResponseWriter, wire cloudsim.Wire, status int, body []byte) {
	header := w.Header()
	switch wire.Verb {
	case cloudsim.LoseReply:
		panic(http.ErrAbortHandler) // closes the connection without a word
	case cloudsim.Reset:
		reset(w)
	case cloudsim.HTML:
		header.Set("Content-Type", "text/html")
		w.WriteHeader(cmp.Or(wire.Status, http.StatusBadGateway))
		_, _ = w.Write([]byte("<html><head><title>502 Bad Gateway</title></head><body>\n<center><h1>502 Bad Gateway</h1></center>\n</body></html>\n"))
	case cloudsim.Empty:
		w.WriteHeader(cmp.Or(wire.Status, http.StatusOK))
	case cloudsim.Half:
		header.Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(status)
		_, _ = w.Write(body[:len(body)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	default:
		w.WriteHeader(status)
		_, _ = w.Write(body) // the client may be gone: its loss
	}
}

// reset breaks the connection as a peer does whose kernel knows nothing of it.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
