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
	return listen(ln, func() (*tls.Config, error) {
		m := s.current()
		return &tls.Config{
			Certificates: []tls.Certificate{m.pair},
			ClientAuth:   tls.RequireAndVerifyClientCert,
			ClientCAs:    m.ca,
		}, nil
	}), nil
}

// ListenOwn wraps a listener into TLS 1.3 with the certificate that the function
// has at each handshake. Clients may show a certificate, and whoever serves them
// must have it judged: nobody is turned away here, since an answer says better
// than an alert what to do. Closing the result closes ln.
func ListenOwn(ln net.Listener, certificate func() (*tls.Certificate, error)) net.Listener {
	return listen(ln, func() (*tls.Config, error) {
		cert, err := certificate()
		if err != nil {
			return nil, err
		}
		return &tls.Config{Certificates: []tls.Certificate{*cert}, ClientAuth: tls.RequestClientCert}, nil
	})
}

func listen(ln net.Listener, config func() (*tls.Config, error)) net.Listener {
	return tls.NewListener(ln, &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			c, err := config()
			if err != nil {
				return nil, err
			}
			c.MinVersion = tls.VersionTLS13
			c.NextProtos = []string{"http/1.1"}
			// Each connection shows its certificate anew.
			c.SessionTicketsDisabled = true
			return c, nil
		},
	})
}
