package mtls

import (
	"crypto/tls"
	"log/slog"
	"net"
)

// Listen wraps a listener into TLS 1.3 that wants a client certificate signed
// by files.CA. All files are read again at each handshake; the error is that of
// reading them now. Closing the result closes ln.
func Listen(ln net.Listener, files Files, log *slog.Logger) (net.Listener, error) {
	s, err := open(files, log)
	if err != nil {
		return nil, err
	}
	return tls.NewListener(ln, &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			m := s.current()
			return &tls.Config{
				MinVersion:   tls.VersionTLS13,
				Certificates: []tls.Certificate{m.pair},
				ClientAuth:   tls.RequireAndVerifyClientCert,
				ClientCAs:    m.ca,
				NextProtos:   []string{"http/1.1"},
				// Each connection shows its certificate anew.
				SessionTicketsDisabled: true,
			}, nil
		},
	}), nil
}
