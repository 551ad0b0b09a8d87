package mtls

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"syscall"
	"time"
)

// A Client makes connections over TLS 1.3, with a certificate of its own unless
// it is NewPinned's.
type Client struct {
	source *source // nil with a pin
	pin    string
}

// NewClient reads the files once, so that faults in them show at the start;
// each handshake reads them again.
func NewClient(files Files, log *slog.Logger) (*Client, error) {
	s, err := open(files, log)
	if err != nil {
		return nil, err
	}
	return &Client{source: s}, nil
}

// Handshake makes a TLS connection out of conn to the host, and checks that
// the certificate there is made out for the host. It closes conn if that
// fails. In TLS 1.3 the other end judges our certificate after we are done:
// its refusal comes with the first read. Errors of both kinds say in words what
// to do.
func (c *Client) Handshake(ctx context.Context, conn net.Conn, host string) (net.Conn, error) {
	config, own := c.config(host)
	config.MinVersion = tls.VersionTLS13
	config.NextProtos = []string{"http/1.1"}
	t := tls.Client(conn, config)
	if err := t.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, explain(err, own)
	}
	return &clientConn{Conn: t, own: own}, nil
}

// config is what the next handshake with the host is made with, and what of it
// is ours.
func (c *Client) config(host string) (*tls.Config, own) {
	if c.source == nil {
		return pinned(c.pin, host), own{}
	}
	m := c.source.current()
	return &tls.Config{
		ServerName:   host,
		RootCAs:      m.ca,
		Certificates: []tls.Certificate{m.pair},
		// Always the one we have: the server says better what is wrong with it
		// than that there is none.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &m.pair, nil },
	}, own{files: c.source.files, leaf: m.pair.Leaf}
}

// clientConn explains what the other end says of our certificate.
type clientConn struct {
	*tls.Conn
	own own
}

// Read implements net.Conn.
func (c *clientConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err != nil {
		err = explain(err, c.own)
	}
	return n, err
}

// refusalTime is how long a refusal that is on its way may take.
const refusalTime = time.Second

// Write implements net.Conn. Where the other end has hung up, it may have said
// why before.
func (c *clientConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		c.SetReadDeadline(time.Now().Add(refusalTime))
		if _, readErr := c.Conn.Read(make([]byte, 1)); isAlert(readErr) {
			err = explain(readErr, c.own)
		}
	}
	return n, err
}
