package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/nicferry/nicferry/internal/api"
)

const (
	// streamLoad is what a stream takes of memory, in bytes, however long it is.
	streamLoad = 128 << 10
	// lingerTime is how long what is still being sent into a broken stream is
	// thrown away, so that the sender comes to read why.
	lingerTime = 2 * time.Second
	// resetDelay is how long the connection stays open where nothing more of it can
	// be read: data that comes after its end would have the answer thrown away.
	resetDelay = 500 * time.Millisecond
)

// Streams join two nodes. A stream that the node has no part in is not found, and
// its second use a conflict; any other error breaks it at both ends.
type Streams interface {
	// Send returns when the other node has taken all that from has. It ends a Read
	// that waits by SetReadDeadline.
	Send(ctx context.Context, name, node string, from io.Reader) error
	// Take returns when all that the other node sends is written to to; with an
	// error that was not the whole. It ends a Write that waits by SetWriteDeadline.
	Take(ctx context.Context, name, node string, to io.Writer) error
}

type streamInput struct {
	Name   string `path:"name"`
	Stream string `path:"stream"`
}

// streamRoutes carry what may take hours: they wait for no turn and hold none, and
// have neither a bound of size nor one of time. What bounds them are the Streams,
// and what a node may have under way.
func (s *server) streamRoutes() {
	if s.Streams == nil {
		s.Streams = noStreams{}
	}
	send := s.operation("send-stream", http.MethodPut, "/v1/nodes/{name}/streams/{stream}",
		"Send a stream to the node at its other end: the body, of any length, in chunks")
	send.MaxBodyBytes = streamLoad
	send.Responses["204"] = &huma.Response{Description: "The other node has taken all of it"}
	huma.Register(s.api, send, func(ctx context.Context, in *streamInput) (*huma.StreamResponse, error) {
		return s.streaming(ctx, send, in, s.sendStream)
	})

	take := s.operation("take-stream", http.MethodGet, "/v1/nodes/{name}/streams/{stream}",
		"Take a stream from the node at its other end")
	take.Responses["200"] = &huma.Response{
		Description: "What the other node sends; the trailer " + api.StreamTrailer + " says what broke it",
		Content:     map[string]*huma.MediaType{"application/octet-stream": {}},
	}
	huma.Register(s.api, take, func(ctx context.Context, in *streamInput) (*huma.StreamResponse, error) {
		return s.streaming(ctx, take, in, s.takeStream)
	})
}

// An end is one node's at a stream.
type end struct {
	w       http.ResponseWriter
	r       *http.Request
	control *http.ResponseController
	op      huma.Operation
	in      *streamInput
}

// streaming has the work done on the connection itself, for as long as the caller
// may call and the server runs.
func (s *server) streaming(ctx context.Context, op huma.Operation, in *streamInput, work func(context.Context, *end)) (*huma.StreamResponse, error) {
	if err := checkName("node", in.Name); err != nil {
		return nil, s.asReply(ctx, op, err)
	}
	return &huma.StreamResponse{Body: func(c huma.Context) {
		r, w := humago.Unwrap(c)
		e := &end{w: w, r: r, control: http.NewResponseController(w), op: op, in: in}
		if seen, ok := w.(*statusWriter); ok {
			seen.stays = true
		}
		w.Header().Set("Connection", "close") // its deadlines are of no use to the next call
		ctx, cancel := context.WithCancelCause(c.Context())
		defer cancel(nil)
		if stopping, ok := ctx.Value(stoppingKey{}).(context.Context); ok {
			defer context.AfterFunc(stopping, func() { cancel(errStopping) })()
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.whileStanding(ctx, cancel, op)
		}()
		work(ctx, e)
		cancel(nil)
		<-done
	}}, nil
}

var errStopping = errors.New("the controller stops")

// whileStanding cancels what goes on once its caller is shut out.
func (s *server) whileStanding(ctx context.Context, cancel context.CancelCauseFunc, op huma.Operation) {
	tick := time.NewTicker(s.Heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if err := s.standing(ctx, op.OperationID, peerOf(ctx), accessOf(op.OperationID)); err != nil && ctx.Err() == nil {
			cancel(err)
			return
		}
	}
}

// sendStream passes the body on.
func (s *server) sendStream(ctx context.Context, e *end) {
	// What is left of the body when it is answered is not to be waited for, and the
	// deadline of other bodies is not for this one. Where the connection cannot do
	// either, it has no deadlines at all.
	_ = e.control.EnableFullDuplex()
	_ = e.control.SetReadDeadline(time.Time{})
	err := s.Streams.Send(ctx, e.in.Stream, e.in.Name, &source{body: plainBody(e.r.Body), control: e.control})
	if err == nil {
		e.w.WriteHeader(http.StatusNoContent)
		return
	}
	e.refuse(s.wire(ctx, e.op, err))
	_ = e.control.SetReadDeadline(time.Now().Add(lingerTime))
	if _, err := io.Copy(io.Discard, plainBody(e.r.Body)); err != nil {
		time.Sleep(resetDelay) // that error may be an old one
	}
}

// takeStream writes what comes into the answer.
func (s *server) takeStream(ctx context.Context, e *end) {
	to := &sink{end: e}
	err := s.Streams.Take(ctx, e.in.Stream, e.in.Name, to)
	_ = e.control.SetWriteDeadline(time.Now().Add(writeTimeout))
	switch {
	case err == nil && !to.begun:
		to.begin()
		e.w.WriteHeader(http.StatusOK)
	case err == nil:
	case to.begun:
		e.w.Header().Set(http.TrailerPrefix+api.StreamTrailer, s.wire(ctx, e.op, err).Message)
	default:
		e.refuse(s.wire(ctx, e.op, err))
	}
}

// refuse answers with an error, at once and whole, though the call may go on.
func (e *end) refuse(err *api.Error) {
	_ = e.control.SetWriteDeadline(time.Now().Add(writeTimeout))
	var answer bytes.Buffer
	_ = writeJSON(&answer, err) // encodes always
	e.w.Header().Set("Content-Type", "application/json")
	e.w.Header().Set("Content-Length", strconv.Itoa(answer.Len()))
	e.w.WriteHeader(err.Code.Status())
	_, _ = e.w.Write(answer.Bytes())
	_ = e.control.Flush() // whoever is gone reads nothing
}

// plainBody is a body without the deadline that boundBody gives it.
func plainBody(body io.ReadCloser) io.Reader {
	if timed, ok := body.(*timedBody); ok {
		return timed.ReadCloser
	}
	return body
}

// source is what a node sends.
type source struct {
	body    io.Reader
	control *http.ResponseController
}

func (s *source) Read(p []byte) (int, error)        { return s.body.Read(p) }
func (s *source) SetReadDeadline(t time.Time) error { return s.control.SetReadDeadline(t) }

// sink is what a node takes. Its answer begins with the first bytes: until then
// there may be an error instead.
type sink struct {
	*end
	begun bool
}

func (s *sink) begin() {
	if s.begun {
		return
	}
	s.begun = true
	s.w.Header().Set("Content-Type", "application/octet-stream")
	s.w.Header().Set("Cache-Control", "no-store")
}

func (s *sink) Write(p []byte) (int, error) {
	s.begin()
	n, err := s.w.Write(p)
	if err != nil {
		return n, err
	}
	return n, s.control.Flush()
}

func (s *sink) SetWriteDeadline(t time.Time) error { return s.control.SetWriteDeadline(t) }

// noStreams is a controller without any.
type noStreams struct{}

func (noStreams) Send(context.Context, string, string, io.Reader) error { return errNoStream }
func (noStreams) Take(context.Context, string, string, io.Writer) error { return errNoStream }

var errNoStream = &api.Error{Code: api.CodeNotFound, Message: "this controller has no streams"}
