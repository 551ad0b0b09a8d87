package metrics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/nicferry/nicferry/internal/retry"
)

// A Source has metrics: a Controller or an Agent.
type Source interface{ gatherer() prometheus.Gatherer }

func (s *set) gatherer() prometheus.Gatherer { return s.registry }

// Options are the parts of the pages.
type Options struct {
	Source Source // required
	// Health returns an error when the daemon is stuck, so that it has to be
	// started anew; Ready when it does not serve at present. Their texts are
	// shown to whoever asks, so they hold no secrets. Both required.
	Health, Ready func(context.Context) error
	Log           *slog.Logger // required
}

// The bounds of a page and of its connection.
const (
	probeTime  = 5 * time.Second // Kubernetes and load balancers wait no longer
	readTime   = 5 * time.Second
	writeTime  = 20 * time.Second
	idleTime   = 2 * time.Minute
	maxHeader  = 16 << 10 // bytes
	maxScrapes = 4        // at a time
	stopGrace  = 2 * time.Second
)

// Handler serves GET /metrics, /healthz and /readyz.
func Handler(o Options) http.Handler {
	mux := http.NewServeMux()
	scrapes := make(chan struct{}, maxScrapes)
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		select {
		case scrapes <- struct{}{}:
			defer func() { <-scrapes }()
		default:
			http.Error(w, "too many scrapes at a time", http.StatusServiceUnavailable)
			return
		}
		o.writeMetrics(w, r)
	})
	mux.HandleFunc("GET /healthz", probe(o.Health))
	mux.HandleFunc("GET /readyz", probe(o.Ready))
	return mux
}

// writeMetrics writes what there is. A part that cannot be gathered costs the
// others nothing.
func (o Options) writeMetrics(w http.ResponseWriter, r *http.Request) {
	families, err := o.Source.gatherer().Gather()
	if err != nil {
		o.Log.Warn("metrics not gathered in whole", "err", err)
		if len(families) == 0 {
			http.Error(w, "metrics not gathered; the log has the cause", http.StatusInternalServerError)
			return
		}
	}
	format := expfmt.NegotiateAccept(r.Header, expfmt.DefaultOpenMetricsAcceptedFormats()...)
	w.Header().Set("Content-Type", string(format))
	encoder := expfmt.NewEncoder(w, format)
	for _, family := range families {
		if err := encoder.Encode(family); err != nil {
			o.Log.Debug("metrics not written in whole", "err", err)
			return
		}
	}
	if closer, ok := encoder.(expfmt.Closer); ok {
		if err := closer.Close(); err != nil {
			o.Log.Debug("metrics not written in whole", "err", err)
		}
	}
}

// probe answers 200 ok, or 503 and what is wrong in words.
func probe(check func(context.Context) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), probeTime)
		defer cancel()
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		if err := check(ctx); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			io.WriteString(w, err.Error()+"\n")
			return
		}
		io.WriteString(w, "ok\n")
	}
}

// Listen opens the port that metrics.address names.
func Listen(address string) (net.Listener, error) {
	ln, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("serve metrics: another program has %s; end it, or give another metrics.address in the config, or \"\" for none", address)
	}
	if err != nil {
		return nil, fmt.Errorf("serve metrics on %s: %w; metrics.address in the config is to be an address of this machine, or \"\" for none", address, err)
	}
	return ln, nil
}

// Serve serves handler on ln until ctx ends, then nil once all are done. It
// closes ln.
func Serve(ctx context.Context, ln net.Listener, handler http.Handler, log *slog.Logger) error {
	srv := &http.Server{
		Handler: handler, ReadTimeout: readTime, WriteTimeout: writeTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve metrics on %s: %w", ln.Addr(), err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
	defer cancel()
	if err := srv.Shutdown(grace); err != nil { // whoever is still reading is cut off
		srv.Close()
	}
	<-served
	return nil
}

// Offer is Listen and Serve for a daemon whose work must not hang on this: where
// the port cannot be had, that is told, and it is tried again until ctx ends. So
// does one that takes over from another of its kind.
func Offer(ctx context.Context, address string, handler http.Handler, log *slog.Logger) {
	backoff := retry.Backoff{First: 500 * time.Millisecond, Max: 30 * time.Second}
	told := ""
	for ctx.Err() == nil {
		ln, err := Listen(address)
		if err == nil {
			log.Info("metrics served", "address", ln.Addr().String())
			told = ""
			err = Serve(ctx, ln, handler, log)
		}
		if err != nil && err.Error() != told {
			told = err.Error()
			log.Error("metrics not served, will try again", "err", err)
		}
		_ = retry.Sleep(ctx, backoff.Next()) // its error is ctx's
	}
}
