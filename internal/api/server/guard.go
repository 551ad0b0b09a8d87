package server

import (
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/nicferry/nicferry/internal/api"
)

// guard logs every request, says which release answers, and turns a panic into an
// answer: one bad request must not take the NICs of all others away.
func (s *server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(api.LevelHeader, strconv.Itoa(api.Level))
		seen := &statusWriter{ResponseWriter: w}
		start := time.Now()
		defer func() {
			s.Log.DebugContext(r.Context(), "request", slog.String("method", r.Method), slog.String("path", api.HideTokens(r.URL.Path)),
				slog.Int("status", seen.status), slog.Duration("took", time.Since(start)))
			s.Requested(seen.operation, seen.status, time.Since(start), seen.stays || w.Header().Get("Content-Type") == "text/event-stream")
		}()
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			if cause == http.ErrAbortHandler {
				panic(cause)
			}
			s.Log.ErrorContext(r.Context(), "request panicked", slog.String("method", r.Method), slog.String("path", api.HideTokens(r.URL.Path)),
				slog.Any("panic", cause), slog.String("stack", string(debug.Stack())))
			if seen.status != 0 { // too late for an answer: cut it off, so that the client sees it is no whole one
				panic(http.ErrAbortHandler)
			}
			writeError(seen, http.StatusInternalServerError, &api.Error{
				Code: api.CodeInternal, Message: "the controller has a fault; its log has the cause",
			})
		}()
		next.ServeHTTP(seen, r)
	})
}

// withFallback answers in our shape where the mux finds no route.
func withFallback(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		plain := &discard{header: http.Header{}}
		mux.ServeHTTP(plain, r)
		e := &api.Error{Code: api.CodeNotFound, Message: "no such route: " + r.Method + " " + r.URL.Path + "; see /openapi.json"}
		if plain.status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", plain.header.Get("Allow"))
			e.Code = api.CodeInvalid
		} else {
			plain.status = http.StatusNotFound
		}
		writeError(w, plain.status, e)
	})
}

func writeError(w http.ResponseWriter, status int, e *api.Error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	writeJSON(w, e) // encodes always
}

// statusWriter remembers whether and with what an answer has begun, and to what.
type statusWriter struct {
	http.ResponseWriter
	status    int
	operation string
	stays     bool // it takes as long as somebody else likes
}

// nameOperation tells the request's statusWriter which route it came to.
func nameOperation(ctx huma.Context, next func(huma.Context)) {
	_, w := humago.Unwrap(ctx)
	if seen, ok := w.(*statusWriter); ok {
		seen.operation = ctx.Operation().OperationID
	}
	next(ctx)
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController through.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// discard keeps only status and headers.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
