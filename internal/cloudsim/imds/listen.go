package imds

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// A Listener serves one instance at an address of its own, or all at one.
type Listener struct {
	// URL is where: for metadata.Options.BaseURL, or for the environment
	// variable AWS_EC2_METADATA_SERVICE_ENDPOINT.
	URL  string
	srv  *http.Server
	done chan error
}

// Listen serves an instance at an address such as 127.0.0.1:0, until Close.
func (s *Service) Listen(ctx context.Context, instance, address string) (*Listener, error) {
	return s.listen(ctx, instance, address, s.Handler(instance))
}

// ListenToAll serves all instances at one address, as EC2 does at 169.254.169.254,
// until Close. Who knows the instance that an address is of; whoever is none, which
// who says by an empty text, gets no answer.
func (s *Service) ListenToAll(ctx context.Context, address string, who func(netip.Addr) (instance string)) (*Listener, error) {
	return s.listen(ctx, "all instances", address, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, err := netip.ParseAddrPort(r.RemoteAddr)
		instance := ""
		if err == nil {
			instance = who(from.Addr().Unmap().WithZone(""))
		}
		if instance == "" {
			panic(http.ErrAbortHandler) // it is nobody's metadata
		}
		s.serve(instance, w, r)
	}))
}

func (s *Service) listen(ctx context.Context, whose, address string, h http.Handler) (*Listener, error) {
	var lc net.ListenConfig
	if s.HopLimit > 0 {
		lc.Control = s.limitHops
	}
	ln, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("serve metadata of %s: %w", whose, err)
	}
	l := &Listener{
		URL: "http://" + ln.Addr().String(), done: make(chan error, 1),
		srv: &http.Server{
			Handler: h, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 64 << 10,
			ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
		},
	}
	go func() { l.done <- l.srv.Serve(ln) }()
	return l, nil
}

// limitHops has the kernel send a listener's answers, and those of its
// connections, with our hop limit: a container behind its host's router does
// not get them then, as on the real service.
func (s *Service) limitHops(network, _ string, c syscall.RawConn) error {
	level, option := syscall.IPPROTO_IP, syscall.IP_TTL
	if network == "tcp6" {
		level, option = syscall.IPPROTO_IPV6, syscall.IPV6_UNICAST_HOPS
	}
	var set error
	err := c.Control(func(fd uintptr) { set = syscall.SetsockoptInt(int(fd), level, option, s.HopLimit) })
	return errors.Join(err, set)
}

// Close ends it with its connections.
func (l *Listener) Close() error {
	err := l.srv.Close()
	if served := <-l.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
