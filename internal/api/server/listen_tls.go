//go:build linux

package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/internal/mtls"
)

// goneTime is how long the other end may take to acknowledge what was sent
// before its connection is given up: a machine that lost its power says
// nothing.
const goneTime = 30 * time.Second

// ListenTLS listens on an IP address and port, for TLS 1.3 with client
// certificates that files.CA signs. The files are read now, and again at each
// handshake. One address, in IPv6 one /64, has 4096 connections at most.
func ListenTLS(address string, files mtls.Files, log *slog.Logger) (net.Listener, error) {
	plain, err := listenTCP(address)
	if err != nil {
		return nil, err
	}
	ln, err := mtls.Listen(boundSources(plain, maxConns, log), files, log)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen on %s: %w", address, err), plain.Close())
	}
	return ln, nil
}

// ListenOwn listens on an IP address and port, for TLS 1.3 with the certificate
// that the function has at each handshake. The handler's Trust judges what
// clients show. Connections are bounded as ListenTLS has it.
func ListenOwn(address string, certificate func() (*tls.Certificate, error), log *slog.Logger) (net.Listener, error) {
	plain, err := listenTCP(address)
	if err != nil {
		return nil, err
	}
	if _, err := certificate(); err != nil {
		return nil, errors.Join(fmt.Errorf("listen on %s: %w", address, err), plain.Close())
	}
	return mtls.ListenOwn(boundSources(plain, maxConns, log), certificate), nil
}

func listenTCP(address string) (net.Listener, error) {
	config := net.ListenConfig{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3},
		Control:         giveUpInTime,
	}
	plain, err := config.Listen(context.Background(), "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("listen on %s: %w; another program has that port, see ss -ltnp", address, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("listen on %s: %w; no interface of this machine has that address", address, err)
	case err != nil:
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return plain, nil
}

// giveUpInTime bounds how long what was sent may stay without acknowledgement.
// Connections take the option over from their listener.
func giveUpInTime(_, _ string, conn syscall.RawConn) error {
	var err error
	controlErr := conn.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(goneTime.Milliseconds()))
	})
	return errors.Join(controlErr, err)
}
