package authority

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log/slog"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/mtls"
	"github.com/nicferry/nicferry/nic"
)

// minUser is the least time of a person's certificate.
const minUser = time.Minute

// IssueUser makes a person's certificate. There is no revoking it: that is what
// its time is for.
func (a *Authority) IssueUser(ctx context.Context, req api.CertificateRequest) (api.Issued, error) {
	if err := a.open(); err != nil {
		return api.Issued{}, err
	}
	organisation := map[string]string{string(mtls.Admin): mtls.AdminOrganisation, string(mtls.Viewer): mtls.ViewerOrganisation}[req.Role]
	var faults nic.Faults
	faults.AddErr("body.name", nic.CheckName("user", req.Name))
	if organisation == "" {
		faults.Add("body.role", "%.40q; want %s or %s", req.Role, mtls.Admin, mtls.Viewer)
	}
	if ttl := req.TTL.D(); ttl < minUser || ttl > MaxUser {
		faults.Add("body.ttl", "%s; want %s to %s (90 days)", req.TTL, minUser, MaxUser)
	}
	if err := faults.Err(); err != nil {
		return api.Issued{}, err
	}
	key, err := keyOf(req.CSR)
	if err != nil {
		return api.Issued{}, err
	}
	issued, err := a.issue(&x509.Certificate{
		Subject:     pkix.Name{CommonName: req.Name, Organization: []string{organisation}},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, req.TTL.D(), key)
	if err != nil {
		return api.Issued{}, fmt.Errorf("make certificate: %w", err)
	}
	a.opts.Log.InfoContext(ctx, "certificate made for a person", slog.String("name", req.Name), slog.String("role", req.Role),
		slog.Time("expires", issued.Expires), slog.Bool("audit", true))
	return issued, nil
}
