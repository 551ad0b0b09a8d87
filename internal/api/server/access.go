package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/mtls"
	"github.com/nicferry/nicferry/nic"
)

// access is who may call a route.
type access int

const (
	admins   access = iota // those who may do everything; what is not named otherwise
	theNode                // the node of the path, and admins
	theOwner               // the node of the claim, which the handler finds out, and admins
	anybody                // whoever has got in
)

// accessOf is the one table of who may call what.
func accessOf(operation string) access {
	switch operation {
	case "hello", "report", "wanted", "watch":
		return theNode
	case "acquire", "release":
		return theOwner
	case "version":
		return anybody
	}
	return admins
}

// peerKey finds, in a request's context, who calls.
type peerKey struct{}

// peerOf is who calls; whoever has not been identified is nobody.
func peerOf(ctx context.Context) mtls.Peer {
	p, _ := ctx.Value(peerKey{}).(mtls.Peer)
	return p
}

// identify finds out who calls: over the unix socket an admin, over TLS whom
// the verified certificate names. What a certificate has begun, a watch above
// all, ends with it.
func identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var peer mtls.Peer
		local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		switch {
		case r.TLS != nil && len(r.TLS.VerifiedChains) > 0:
			peer = mtls.PeerOf(r.TLS.VerifiedChains[0][0])
		case r.TLS == nil && local != nil && local.Network() == "unix":
			peer.Admin = true
		}
		ctx := context.WithValue(r.Context(), peerKey{}, peer)
		if !peer.Until.IsZero() {
			if !time.Now().Before(peer.Until) {
				w.Header().Set("Connection", "close")
				w.Header().Set("Retry-After", "1")
				writeError(w, http.StatusServiceUnavailable, &api.Error{
					Code:    api.CodeUnavailable,
					Message: "the certificate of this connection ended at " + peer.Until.UTC().Format(time.RFC3339) + "; connect again with a new one",
				})
				return
			}
			var cancel context.CancelFunc
			ctx, cancel = context.WithDeadline(ctx, peer.Until)
			defer cancel()
		}
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// authorise lets a call through to its handler, or answers it with a refusal
// before its body is read.
func (s *server) authorise(ctx huma.Context, next func(huma.Context)) {
	op := ctx.Operation()
	peer := peerOf(ctx.Context())
	var err error
	switch accessOf(op.OperationID) {
	case theNode:
		err = s.mayActAs(ctx.Context(), op.OperationID, ctx.Param("name"))
	case admins:
		if !peer.Admin {
			err = s.refuse(ctx.Context(), op.OperationID, fmt.Sprintf("%s is for admins: use the controller's socket, or a certificate with the organisation %s",
				op.OperationID, mtls.AdminOrganisation))
		}
	}
	if err == nil {
		next(ctx)
		return
	}
	_, w := humago.Unwrap(ctx)
	writeError(w, http.StatusForbidden, s.wire(ctx.Context(), *op, err))
}

// mayActAs refuses the caller unless it is the node, or an admin.
func (s *server) mayActAs(ctx context.Context, operation, node string) error {
	peer := peerOf(ctx)
	if peer.Is(node) {
		return nil
	}
	name := "nobody"
	if len(peer.Names) > 0 {
		name = fmt.Sprintf("%.200q", strings.Join(peer.Names, ", "))
	}
	return s.refuse(ctx, operation, fmt.Sprintf("the certificate is made out for %s and may not act as node %.80q; give the agent its own certificate, or set its node's name",
		name, node))
}

// mayRelease refuses the caller unless the claim is its node's. A claim that is
// gone is anybody's to release: nothing happens.
func (s *server) mayRelease(ctx context.Context, id nic.ClaimID) error {
	if peerOf(ctx).Admin {
		return nil
	}
	claim, err := s.Backend.Claim(ctx, id)
	switch {
	case err == nil:
		return s.mayActAs(ctx, "release", claim.Owner.Node)
	case s.codeOf(err) == api.CodeNotFound:
		return nil
	}
	return err
}

func (s *server) refuse(ctx context.Context, operation, why string) error {
	s.Log.WarnContext(ctx, "call refused", slog.String("operation", operation), slog.Any("names", peerOf(ctx).Names), slog.String("why", why))
	return &api.Error{Code: api.CodeRefused, Message: why}
}
