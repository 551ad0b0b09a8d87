package conf

import (
	"slices"
	"strings"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/sriov"
)

func (d *doc) checkVersion(v int) {
	if v != version {
		d.fault("version", "is %d; this release reads version %d only", v, version)
	}
}

func (d *doc) checkAgent(f *agentFile, hostname func() (string, error)) {
	d.checkVersion(f.Version)
	if !d.given("node") {
		host, err := hostname()
		f.Node, _, _ = strings.Cut(host, ".")
		if err == nil {
			err = nic.CheckName("node", f.Node)
		}
		if err != nil {
			d.fault("node", "is missing, and the host name cannot serve: %s", err)
		}
	} else {
		d.faultErr("node", nic.CheckName("node", f.Node))
	}
	if len(f.Controllers) == 0 {
		d.fault("controllers", "want at least one address")
	}
	for i, address := range f.Controllers {
		at := item("controllers", i)
		err := CheckAddress(address)
		d.faultErr(at, err)
		if err == nil && slices.Contains(f.Controllers[:i], address) {
			d.fault(at, "%s is listed twice", quote(address))
		}
	}
	if f.TLS != nil {
		d.checkFile("tls.ca", f.TLS.CA)
		d.checkFile("tls.cert", f.TLS.Cert)
		d.checkFile("tls.key", f.TLS.Key)
	}
	d.faultErr("identityDir", checkPath(f.IdentityDir))
	f.Docker.Socket = strings.TrimPrefix(f.Docker.Socket, "unix://")
	d.faultErr("docker.socket", checkSocket(f.Docker.Socket))
	d.faultErr("runDir", checkPath(f.RunDir))
	if f.Resync.D() < time.Second || f.Resync.D() > time.Hour {
		d.fault("resync", "%s; want 1s to 1h", f.Resync)
	}
	d.checkCards("sriov.cards", f.SRIOV.Cards)
	d.checkLog(f.Log)
	d.checkMetrics(f.Metrics)
}

// checkCards checks the cards that a machine is to cut. The same words in other
// letters are the same card; an address and a name may be, which shows there.
func (d *doc) checkCards(path string, cards []Card) {
	lines := map[string]int{}
	for i := range cards {
		c, at := &cards[i], item(path, i)
		if d.bad[at] {
			continue
		}
		if vfs := under(at, "vfs"); d.good(vfs) && (c.VFs < 0 || c.VFs > sriov.LastVF+1) {
			d.fault(vfs, "%d; want 1 to %d, or 0 to leave their number as it is", c.VFs, sriov.LastVF+1)
		}
		pf := under(at, "pf")
		if !d.good(pf) {
			continue
		}
		if strings.Contains(c.PF, ":") {
			address, err := sriov.ParseAddress(c.PF)
			if err != nil {
				d.faultErr(pf, err)
				continue
			}
			c.PF = string(address)
		} else if err := nic.CheckInterfaceName(c.PF); err != nil {
			d.faultErr(pf, err)
			continue
		}
		if line, ok := lines[c.PF]; ok {
			d.fault(pf, "%s is listed already on line %d", quote(c.PF), line)
			continue
		}
		lines[c.PF] = d.line(pf)
	}
}
