package server

import (
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// The connections that one source may have at a time: those of all machines behind
// one address, and what somebody without a certificate can open at most.
const (
	maxConns     = 4096
	tellCrowding = time.Minute // how often it is told that there are more, at most
)

// sources is a listener that bounds how many connections each source has.
type sources struct {
	net.Listener
	most int
	log  *slog.Logger

	mu   sync.Mutex // guards what follows
	open map[netip.Prefix]int
	told time.Time
}

func boundSources(ln net.Listener, most int, log *slog.Logger) net.Listener {
	return &sources{Listener: ln, most: most, log: log, open: map[netip.Prefix]int{}}
}

// Accept closes what is above the bound at once, before anything is read of it.
func (s *sources) Accept() (net.Conn, error) {
	for {
		conn, err := s.Listener.Accept()
		if err != nil {
			return nil, err
		}
		at, err := netip.ParseAddrPort(conn.RemoteAddr().String())
		if err != nil { // not from a network
			return conn, nil
		}
		source := sourceOf(at.Addr())
		if s.enter(source) {
			return &counted{Conn: conn, leave: sync.OnceFunc(func() { s.leave(source) })}, nil
		}
		conn.Close()
	}
}

func (s *sources) enter(source netip.Prefix) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[source] < s.most {
		s.open[source]++
		return true
	}
	if time.Since(s.told) >= tellCrowding {
		s.told = time.Now()
		s.log.Warn("connections are refused: too many from one source", "source", source, "most", s.most)
	}
	return false
}

func (s *sources) leave(source netip.Prefix) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[source]--; s.open[source] == 0 {
		delete(s.open, source)
	}
}

// counted is a connection of a source's.
type counted struct {
	net.Conn
	leave func()
}

// Close may be called twice.
func (c *counted) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
