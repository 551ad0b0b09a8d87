//go:build linux

package trust

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/authority"
	"github.com/nicferry/nicferry/internal/lab/fleet"
	"github.com/nicferry/nicferry/internal/mtls"
	"github.com/nicferry/nicferry/internal/store/boltstore"
	"github.com/nicferry/nicferry/nic"
)

// The controller is away, the certificate expires meanwhile, and the agent is
// killed and started again: containers keep their NICs and their leases, under
// ping. When the controller is back the agent renews its certificate with the one
// that has expired, and all that has changed meanwhile is made true.
func TestS4_ConnectionLostAndCertificateExpired(t *testing.T) {
	t.Parallel()
	r := start(t, fleet.Options{})
	vm1 := r.Agents[0]
	r.run(vm1, "web", "nicferry.network=lab")
	r.run(vm1, "db", "nicferry.network=fixed")
	web, db := r.address(vm1, "web"), r.address(vm1, "db")
	r.await(`(?s)bound.*bound`, r.claimsText)
	const away = 6 * time.Second
	webDone, dbDone := r.ping(vm1, web, away), r.ping(vm1, db, away)

	r.do(r.StopController(t.Context()))
	r.do(vm1.Kill(t.Context()))
	r.expire(vm1)
	r.do(vm1.Spawn())
	r.await("controller does not answer, containers keep their NICs", r.said(vm1))
	r.run(vm1, "late", "nicferry.network=fixed") // served when the controller is back
	webDone()
	dbDone()
	if leases, err := vm1.LAN.Leases(); err != nil || len(leases) != 1 || leases[0].Addr != web {
		t.Errorf("leases %v, %v; want that of %s alone", leases, err, web)
	}

	webDone, dbDone = r.ping(vm1, web, away), r.ping(vm1, db, away)
	r.do(r.StartController(t.Context()))
	r.await("certificate renewed", r.said(vm1))
	r.await(`late .*bound`, r.claimsText)
	if again := r.address(vm1, "web"); again != web {
		t.Errorf("web has %s, had %s", again, web)
	}
	webDone()
	dbDone()
	r.await("vm1 .*ready", func() (string, error) { return r.CLI(t.Context(), "get", "nodes") })
}

// A node that is revoked can do nothing, and its containers keep what they have.
// A new token lets it in again.
func TestS4_RevokedNode(t *testing.T) {
	t.Parallel()
	r := start(t, fleet.Options{})
	vm1 := r.Agents[0]
	r.run(vm1, "web", "nicferry.network=fixed")
	web := r.address(vm1, "web")
	r.await(`web .*bound`, r.claimsText)
	done := r.ping(vm1, web, 4*time.Second)
	r.cli("node", "revoke", "vm1", "--yes")
	r.await("node vm1 was revoked", r.said(vm1))
	r.run(vm1, "late", "nicferry.network=fixed")
	r.do(vm1.Kill(t.Context()))
	r.do(vm1.Spawn())
	r.await("controller refuses this node, containers keep their NICs", r.said(vm1))
	done()
	if out := r.cli("get", "claims"); strings.Contains(out, "late") {
		t.Errorf("a revoked node has a new claim:\n%s", out)
	}
	done = r.ping(vm1, web, 2*time.Second)
	_, err := vm1.JoinWith(t.Context(), r.token(vm1), "--force")
	r.do(err)
	r.await(`late .*bound`, r.claimsText)
	done()
}

func (r *rig) claimsText() (string, error) { return r.CLI(r.t.Context(), "get", "claims") }

// said returns what an agent logs from now on.
func (r *rig) said(a *fleet.Agent) func() (string, error) {
	before := len(a.Log())
	return func() (string, error) { return a.Log()[before:], nil }
}

// expire gives a machine a certificate that ended half an hour ago, with the
// authority of a controller that is stopped.
func (r *rig) expire(a *fleet.Agent) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), startTime)
	defer cancel()
	records, err := boltstore.Open(ctx, r.StorePath(), boltstore.Options{})
	r.do(err)
	defer func() { r.do(records.Close()) }()
	ca, err := authority.Open(ctx, authority.Options{
		Store: records, Log: slog.New(slog.DiscardHandler), NodeLife: time.Second,
		Instances: func(string) (map[string]nic.InstanceID, bool) { return nil, true },
		Now:       func() time.Time { return time.Now().Add(-30 * time.Minute) },
	})
	r.do(err)
	key := readText(r.t, filepath.Join(a.IdentityDir(), "key.pem"))
	csr, err := mtls.Request([]byte(key))
	r.do(err)
	issued, err := ca.Renew(ctx, mtls.Peer{Role: mtls.Node, Names: []string{a.Name}, Join: 1}, string(csr))
	r.do(err)
	r.do(os.WriteFile(filepath.Join(a.IdentityDir(), "cert.pem"), []byte(issued.Certificate), 0o644))
}
