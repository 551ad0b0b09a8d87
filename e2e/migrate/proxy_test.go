//go:build linux

package migrate

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/lab/fleet"
)

// A faulty stands between an agent and its engine, and does to chosen calls what
// is wanted.
type faulty struct {
	server    *http.Server
	transport *http.Transport
	served    chan error

	mu     sync.Mutex
	faults []*fault
	calls  []string // method and path of all but questions
}

// A fault is done to the calls whose method, path and query match.
type fault struct {
	match *regexp.Regexp
	// times is how many more calls it is done to, after the first skip; below 0 it
	// is all.
	times, skip int
	// refuse has the engine answer that it failed, without having been asked;
	// after has it asked before.
	refuse, after bool
	// hold keeps the call back until it is closed, or the caller gives up.
	hold chan struct{}
	// seen is closed when the first call has come. Set by inject.
	seen chan struct{}
	once sync.Once
	free sync.Once
}

// release lets go what is held, and holds nothing more.
func (f *fault) release() {
	if f.hold != nil {
		f.free.Do(func() { close(f.hold) })
	}
}

// version is before the path of all calls.
var version = regexp.MustCompile(`^/v1\.[0-9]+`)

// newFaulty listens beside the machine's engine, and has the agent go there.
func newFaulty(a *fleet.Agent) (*faulty, error) {
	f := &faulty{served: make(chan error, 1)}
	engine := a.Machine.Engine.Socket()
	a.Socket = filepath.Join(a.Machine.Dir(), "faulty.sock")
	listener, err := net.Listen("unix", a.Socket)
	if err != nil {
		return nil, err
	}
	f.transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", engine)
	}}
	forward := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "docker"})
	forward.Transport, forward.FlushInterval = f.transport, -1 // events come one by one
	forward.ErrorLog = log.New(io.Discard, "", 0)              // clients go away
	f.server = &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.serve(w, r, forward)
	})}
	go func() { f.served <- f.server.Serve(listener) }()
	return f, nil
}

func (f *faulty) serve(w http.ResponseWriter, r *http.Request, forward http.Handler) {
	fault := f.find(r)
	if fault != nil {
		fault.once.Do(func() { close(fault.seen) })
		if fault.hold != nil {
			select {
			case <-fault.hold:
			case <-r.Context().Done():
				return
			}
		}
		if fault.after {
			forward.ServeHTTP(&deaf{header: http.Header{}}, r)
		}
		if fault.refuse || fault.after {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, `{"message":"the test wants it to fail"}`)
			return
		}
	}
	forward.ServeHTTP(w, r)
}

// deaf takes an answer that nobody gets.
type deaf struct{ header http.Header }

func (d *deaf) Header() http.Header         { return d.header }
func (d *deaf) Write(p []byte) (int, error) { return len(p), nil }
func (d *deaf) WriteHeader(int)             {}

// find is the first fault that is for a call.
func (f *faulty) find(r *http.Request) *fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	call := r.Method + " " + version.ReplaceAllString(r.URL.Path, "")
	if query, err := url.QueryUnescape(r.URL.RawQuery); err == nil && query != "" {
		call += "?" + query
	}
	if r.Method != http.MethodGet {
		f.calls = append(f.calls, call)
	}
	for _, fault := range f.faults {
		if fault.times != 0 && fault.match.MatchString(call) {
			if fault.skip > 0 {
				fault.skip--
				return nil
			}
			fault.times--
			return fault
		}
	}
	return nil
}

// inject has a fault done from now on.
func (f *faulty) inject(call string, added *fault) *fault {
	f.mu.Lock()
	defer f.mu.Unlock()

	added.match, added.seen = regexp.MustCompile(call), make(chan struct{})
	f.faults = append(f.faults, added)
	return added
}

// heal ends all faults, and lets go what is held.
func (f *faulty) heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fault := range f.faults {
		fault.release()
	}
	f.faults, f.calls = nil, nil
}

func (f *faulty) close() error {
	f.heal()
	err := errors.Join(f.server.Close(), <-f.served)
	f.transport.CloseIdleConnections()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
