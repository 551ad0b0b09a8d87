package server

import (
	"io"
	"net/http"
	"time"
)

// bodyTimeout is how long the body of a request may take to come: as long as a
// client waits for its answer.
const bodyTimeout = 30 * time.Second

// boundBody ends the connection of whoever announces a body and does not send it,
// which costs him nothing and us a connection for ever. A watch has no body, and
// a handler whose body has come may take its time.
func boundBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			control, until := http.NewResponseController(w), time.Now().Add(bodyTimeout)
			if err := control.SetReadDeadline(until); err == nil {
				// A copy: net/http looks at the body of its own request to know whether
				// all of it was read, and takes the rest for the next request if not.
				r = r.WithContext(r.Context())
				r.Body = &timedBody{ReadCloser: r.Body, control: control, until: until}
			}
		}
		next.ServeHTTP(w, r)
	})
}

// timedBody is a body under a deadline, which ends with it: it would stay on the
// connection, and end the context of a handler that is slower than it.
type timedBody struct {
	io.ReadCloser
	control *http.ResponseController
	until   time.Time
}

// Read implements io.Reader. It sets the deadline again, since huma lifts it for
// all that is no bound of its own.
func (b *timedBody) Read(p []byte) (int, error) {
	if err := b.control.SetReadDeadline(b.until); err != nil {
		return 0, err
	}
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		_ = b.control.SetReadDeadline(time.Time{}) // as it could be set
	}
	return n, err
}
