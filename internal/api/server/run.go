package server

import (
	"context"
	"errors"
	"fmt"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/nicferry/nicferry/internal/mtls"
)

// The bounds of a connection. There is no bound on reading or writing as a
// whole: watches stay open. boundBody has that of bodies.
const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	stopGrace     = 5 * time.Second
	maxHeader     = 32 << 10 // bytes
)

// stoppingKey finds, in a request's context, the context that ends when the
// server begins to stop.
type stoppingKey struct{}

// Run serves handler on ln until ctx ends. Then watches end at once, other
// requests get 5 s to finish, and it returns nil once all are done. It closes
// ln.
func Run(ctx context.Context, ln net.Listener, handler http.Handler, log *slog.Logger) error {
	base, cancel := context.WithCancel(context.WithValue(context.WithoutCancel(ctx), stoppingKey{}, ctx))
	defer cancel()
	level := slog.LevelDebug
	if ln.Addr().Network() != "unix" { // who was turned away, and why
		level = slog.LevelInfo
	}
	srv := &http.Server{
		Handler:           boundBody(handler),
		ReadHeaderTimeout: headerTimeout,
		MaxHeaderBytes:    maxHeader,
		IdleTimeout:       idleTimeout,
		BaseContext:       func(net.Listener) context.Context { return base },
		ConnContext:       withConn,
		ErrorLog:          stdlog.New(&turnedAway{log: log, level: level, noise: newNoise()}, "", 0),
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve %s: %w", ln.Addr(), err)
	case <-ctx.Done():
	}
	grace, stop := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
	defer stop()
	err := srv.Shutdown(grace)
	if err != nil {
		cancel() // whoever is still at it shall see the end coming
		err = errors.Join(fmt.Errorf("stop serving %s: %w", ln.Addr(), err), srv.Close())
	}
	if serveErr := <-served; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	return err
}

// untilStopping is ctx, but ends also when the server begins to stop.
func untilStopping(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stopping, ok := ctx.Value(stoppingKey{}).(context.Context)
	if !ok {
		return ctx, cancel
	}
	forget := context.AfterFunc(stopping, cancel)
	return ctx, func() { forget(); cancel() }
}

// turnedAway puts what net/http says of connections into the log, with what to
// do about it.
type turnedAway struct {
	log   *slog.Logger
	level slog.Level
	noise *rate.Limiter
}

// Write takes one line.
func (t *turnedAway) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	attrs := []slog.Attr{slog.String("err", text)}
	if why := mtls.TurnedAway(text); why != "" {
		attrs = append(attrs, slog.String("why", why))
	}
	level := t.level
	if !t.noise.Allow() {
		level = slog.LevelDebug
	}
	t.log.LogAttrs(context.Background(), level, "connection failed", attrs...)
	return len(line), nil
}
