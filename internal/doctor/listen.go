package doctor

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/conf"
	"github.com/nicferry/nicferry/internal/mtls"
)

// checkListen looks at the controller's port and at the certificate there.
func checkListen(ctx context.Context, v *visit) {
	if v.controller == nil {
		v.warn("nicferry config check "+v.ControllerConfig, "not looked at: the config does not say where it is")
		return
	}
	l := v.controller.Listen
	if l == nil {
		v.ok("no listen: in the config: agents on this machine alone come in")
		return
	}
	const remedy = "have the certificate made anew, for the address that agents use"
	if !l.OwnAuthority() {
		// What signs the agents' certificates need not sign this one.
		v.file(l.ClientCA, remedy)
		if chain := v.checkKey(mtls.Files{Cert: l.Cert, Key: l.Key}, remedy); len(chain) > 0 {
			v.checkServerTime(chain[0], remedy)
			v.checkNames(chain[0], l, remedy)
		}
	}
	v.checkPort(ctx, l)
	if v.quiet() {
		v.ok("the certificate for %s can be read and is made out for it", l.Address)
	}
}

// checkPort looks who has the port, and asks it for its certificate.
func (v *visit) checkPort(ctx context.Context, l *conf.Listen) {
	host, text, err := net.SplitHostPort(l.Address)
	port, numErr := strconv.Atoi(text)
	if err != nil || numErr != nil {
		return
	}
	open, readable := v.listeners()
	switch bound := slices.ContainsFunc(open, func(o listener) bool { return o.port == port }); {
	case !readable:
		v.warn("mount -t proc proc /proc", "cannot look who has port %d: /proc/net/tcp is not there", port)
		return
	case !bound && v.process("nicferryd"):
		v.fail("journalctl -u nicferryd; systemctl restart nicferryd", "nicferryd runs, and nobody listens on port %d", port)
		return
	case !bound: // told by the check of the process
		return
	}
	if addr, err := netip.ParseAddr(host); host == "" || err == nil && addr.IsUnspecified() {
		host = "127.0.0.1"
		if err == nil && addr.Is6() {
			host = "::1"
		}
	}
	at := net.JoinHostPort(host, text)
	chain, err := v.certificateOf(ctx, at)
	switch {
	case errors.Is(err, errNotAsked):
		v.warn("", "cannot look: %s is not asked here", at)
	case err != nil:
		v.fail("openssl s_client -connect "+at, "%s shows no certificate: %s", at, short(err))
	case len(chain) > 0 && l.OwnAuthority():
		const remedy = "systemctl restart nicferryd, which makes it anew; containers keep their NICs"
		v.checkServerTime(chain[0], remedy)
		v.checkNames(chain[0], l, "listen.names: in the config, and: systemctl restart nicferryd")
		v.ok("%s shows a certificate that is good until %s", at, stamp(chain[0].NotAfter))
	default:
		v.ok("%s shows its certificate", at)
	}
}

// soon is before when a certificate that nobody renews by itself should be.
const soon = 14 * 24 * time.Hour

func (v *visit) checkServerTime(cert *x509.Certificate, remedy string) {
	now := v.Now()
	switch life := cert.NotAfter.Sub(cert.NotBefore); {
	case now.Before(cert.NotBefore):
		v.fail("timedatectl set-ntp true", "the controller's certificate is good from %s on, and it is %s here", stamp(cert.NotBefore), stamp(now))
	case now.After(cert.NotAfter):
		v.fail(remedy, "the controller's certificate ended at %s: no agent comes in", stamp(cert.NotAfter))
	case cert.NotAfter.Sub(now) < min(soon, life/10):
		v.warn(remedy, "the controller's certificate ends at %s", stamp(cert.NotAfter))
	}
}

// checkNames wants the addresses and names by which agents call the controller
// in its certificate, as far as the config says them.
func (v *visit) checkNames(cert *x509.Certificate, l *conf.Listen, remedy string) {
	var missing []string
	for _, name := range listenNames(l) {
		if cert.VerifyHostname(name) != nil {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		v.fail(remedy, "the controller's certificate is not made out for %s: agents that call it so refuse it", strings.Join(missing, ", "))
	}
}

// listenNames are the names and addresses that the config has for the port.
func listenNames(l *conf.Listen) []string {
	var names []string
	host, _, _ := net.SplitHostPort(l.Address)
	if addr, err := netip.ParseAddr(host); err == nil && !addr.IsUnspecified() {
		names = append(names, host)
	}
	return append(names, l.Names...)
}
