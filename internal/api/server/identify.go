package server

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/mtls"
)

// peerKey finds, in a request's context, who calls.
type peerKey struct{}

// peerOf is who calls; whoever has not been identified is nobody.
func peerOf(ctx context.Context) mtls.Peer {
	p, _ := ctx.Value(peerKey{}).(mtls.Peer)
	return p
}

// fromKey finds, in a request's context, which address it came from.
type fromKey struct{}

// fromOf is the address that a call came from, for the log.
func fromOf(ctx context.Context) string {
	from, _ := ctx.Value(fromKey{}).(string)
	if from == "" || from[0] == '@' { // a socket's other end has no name
		return "the socket"
	}
	return from
}

// identify finds out who calls: over the unix socket an admin, over TLS whom
// the verified certificate names. What a certificate has begun, a watch above
// all, ends with it.
func (s *server) identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer := s.caller(r)
		ctx := context.WithValue(r.Context(), peerKey{}, peer)
		ctx = context.WithValue(ctx, fromKey{}, r.RemoteAddr)
		switch {
		case peer.Role == mtls.Nobody || peer.Expired:
			w.Header().Set("Connection", "close") // whoever has a new certificate must show it
		case !peer.Until.IsZero() && !time.Now().Before(peer.Until):
			w.Header().Set("Connection", "close")
			w.Header().Set("Retry-After", "1")
			writeError(w, http.StatusServiceUnavailable, &api.Error{
				Code:    api.CodeUnavailable,
				Message: "the certificate of this connection ended at " + peer.Until.UTC().Format(time.RFC3339) + "; connect again with a new one",
			})
			return
		case !peer.Until.IsZero():
			var cancel context.CancelFunc
			ctx, cancel = context.WithDeadline(ctx, peer.Until)
			defer cancel()
		}
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// caller is who sends a request.
func (s *server) caller(r *http.Request) mtls.Peer {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	switch {
	case r.TLS != nil && len(r.TLS.VerifiedChains) > 0:
		return mtls.PeerOf(r.TLS.VerifiedChains[0][0])
	case r.TLS != nil:
		return s.judged(r)
	case local != nil && local.Network() == "unix":
		return mtls.Peer{Role: mtls.Admin}
	}
	return mtls.Peer{}
}

// connKey finds, in a request's context, what its connection is known by.
type connKey struct{}

// known is whom a connection's certificate speaks for. It is judged once, with
// the first request.
type known struct {
	once sync.Once
	peer mtls.Peer
}

// withConn is the context of a new connection.
func withConn(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, new(known))
}

// judged is whom the certificate speaks for that nobody has looked at yet.
func (s *server) judged(r *http.Request) mtls.Peer {
	k, ok := r.Context().Value(connKey{}).(*known)
	if !ok {
		return s.Trust.Peer(r.TLS.PeerCertificates)
	}
	k.once.Do(func() { k.peer = s.Trust.Peer(r.TLS.PeerCertificates) })
	return k.peer
}
