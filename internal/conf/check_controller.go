package conf

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nicferry/nicferry/nic"
)

func (d *doc) checkController(f *controllerFile) {
	d.checkVersion(f.Version)
	d.faultErr("socket", checkSocket(f.Socket))
	d.checkRecords("store", &f.Store)
	if f.SocketGroup != "" {
		d.faultErr("socketGroup", nic.CheckName("group", f.SocketGroup))
	}
	if f.Listen != nil {
		d.checkListen("listen", f.Listen)
	}
	d.checkLog(f.Log)
	d.checkMetrics(f.Metrics)
	d.checkSweep(f.Sweep)
	d.checkProviders(f.Providers)
	known := d.indexProviders(f.Providers)
	d.checkNodes(f.Nodes, f.Providers, known)
	d.checkNetworks(f.Networks, known, f.Nodes)
	d.checkTenants(f)
}

// The least times of a sweep. Each one lists all of every provider.
const (
	minSweep = nic.Duration(time.Second)
	minGrace = nic.Duration(time.Second)
)

func (d *doc) checkSweep(s Sweep) {
	if d.good("sweep.every") && s.Every < minSweep {
		d.fault("sweep.every", "%s; want %s or more; to have none, off: true", s.Every, minSweep)
	}
	if d.good("sweep.grace") && s.Grace < minGrace {
		d.fault("sweep.grace", "%s; want %s or more: what begins or ends is a difference for a moment", s.Grace, minGrace)
	}
}

func (d *doc) checkProviders(providers []Provider) {
	if len(providers) == 0 {
		d.fault("providers", "want at least one provider")
	}
	names := d.uniqueNames("provider")
	for i := range providers {
		p, path := &providers[i], item("providers", i)
		if d.bad[path] {
			continue
		}
		names(under(path, "name"), p.Name)
		if d.good(under(path, "kind")) && !slices.Contains(kinds, p.Kind) {
			d.fault(under(path, "kind"), "no kind %s in this release; known: %s", quote(p.Kind), oneOf(kinds))
		}
		d.checkKind(path, p)
	}
	d.checkOneOfVFs(providers)
}

// checkOneOfVFs wants one provider of VFs at most: each has a ledger of its own, and two
// whose networks name a card by different words would give one VF to two containers.
func (d *doc) checkOneOfVFs(providers []Provider) {
	first := -1
	for i := range providers {
		path := item("providers", i)
		at := under(path, "kind")
		switch {
		case d.bad[path] || !d.good(at) || providers[i].Kind != KindSRIOV:
		case first < 0:
			first = i
		default:
			d.fault(at, "provider %s on line %d is of kind %s already, and one serves the cards of all nodes: two would give out the same VFs; put this one's networks on it",
				quote(providers[first].Name), d.line(item("providers", first)), KindSRIOV)
			return
		}
	}
}

// checkKind checks what a provider is told under its kind's name, and that it
// is told nothing else.
func (d *doc) checkKind(path string, p *Provider) {
	localAt, libvirtAt, awsAt, aliyunAt := under(path, "local"), under(path, "libvirt"), under(path, "aws"), under(path, "aliyun")
	known := d.good(under(path, "kind")) && slices.Contains(kinds, p.Kind)
	for _, at := range []string{localAt, libvirtAt, awsAt, aliyunAt} {
		if known && d.given(at) && at != under(path, p.Kind) {
			d.fault(at, "is not for a provider of kind %s", p.Kind)
		}
	}
	if p.Kind == KindLocal && p.Local == nil {
		p.Local = new(Local)
		p.Local.setDefaults()
	}
	if p.Kind == KindLibvirt && p.Libvirt == nil {
		p.Libvirt = new(Libvirt)
		p.Libvirt.setDefaults()
	}
	if p.Kind == KindAWS && p.AWS == nil {
		p.AWS = new(AWS)
		p.AWS.setDefaults()
	}
	if p.Kind == KindAliyun && p.Aliyun == nil {
		p.Aliyun = new(Aliyun)
		p.Aliyun.setDefaults()
	}
	if p.Local != nil && (p.Local.Slots < 1 || p.Local.Slots > maxSlots) {
		d.fault(under(localAt, "slots"), "%d; want 1 to %d", p.Local.Slots, maxSlots)
	}
	if p.Libvirt != nil && !d.bad[libvirtAt] {
		d.faultErr(under(libvirtAt, "uri"), checkURI(p.Libvirt.URI))
	}
	if p.AWS != nil && !d.bad[awsAt] {
		d.checkAWSProvider(awsAt, *p.AWS)
	}
	if p.Aliyun != nil && !d.bad[aliyunAt] {
		d.checkAliyunProvider(aliyunAt, *p.Aliyun)
	}
}

// maxSlots bounds what a slip of the keyboard can ask of a node. A Linux
// bridge takes 1024 ports.
const maxSlots = 4096

// uniqueNames returns a check of one name after the other, each with its path.
func (d *doc) uniqueNames(what string) func(path, name string) {
	lines := map[string]int{}
	return func(path, name string) {
		if !d.good(path) {
			return
		}
		d.faultErr(path, nic.CheckName(what, name))
		if line, ok := lines[name]; ok {
			d.fault(path, "%s %s is defined already on line %d", what, quote(name), line)
			return
		}
		lines[name] = d.line(path)
	}
}

func (d *doc) checkNodes(nodes map[string]Node, providers []Provider, known providerIndex) {
	if !d.good("nodes") {
		return
	}
	if len(nodes) == 0 {
		d.fault("nodes", "is empty, so that no node could join; leave it out to let any node join")
	}
	type place struct {
		provider string
		id       nic.InstanceID
	}
	holders := map[place]string{}
	for _, name := range slices.Sorted(maps.Keys(nodes)) {
		path := under("nodes", name)
		if err := nic.CheckName("node", name); err != nil {
			d.faultErr(path, err)
			continue
		}
		instances := nodes[name].instances(name, providers)
		for _, p := range slices.Sorted(maps.Keys(instances)) {
			at, id := under(under(path, "instances"), p), instances[p]
			if d.bad[at] {
				continue
			}
			d.checkProvider(at, p, known)
			if id == "" || len(id) > 256 || strings.ContainsFunc(string(id), notGraphic) {
				d.fault(at, "%s is no instance id", quote(string(id)))
			} else if v := known.vendor(p); v != nil && !v.instanceID.MatchString(string(id)) {
				d.fault(at, "%s is no instance of %s; want an id such as %s", quote(string(id)), v.name, v.instanceID.example)
			}
			if other, ok := holders[place{p, id}]; ok {
				d.fault(at, "%s is the instance of node %s already", quote(string(id)), quote(other))
				continue
			}
			holders[place{p, id}] = name
		}
	}
}

func notGraphic(r rune) bool { return r <= ' ' || r > '~' }

// A providerIndex finds the provider that a field names.
type providerIndex struct {
	byName map[string]*Provider
	names  []string
	// unsure: a provider's name could not be read, and may be the one meant.
	unsure bool
}

// vendor is the one in whose cloud a provider makes its NICs; nil if there is none.
func (x providerIndex) vendor(provider string) *vendor {
	if p := x.byName[provider]; p != nil {
		return vendorOf(p.Kind)
	}
	return nil
}

func (d *doc) indexProviders(providers []Provider) providerIndex {
	x := providerIndex{byName: map[string]*Provider{}, unsure: !d.good("providers")}
	for i := range providers {
		p := &providers[i]
		if !d.good(under(item("providers", i), "name")) {
			x.unsure = true
			continue
		}
		x.byName[p.Name] = p
		if len(x.names) < maxSuggested {
			x.names = append(x.names, p.Name)
		}
	}
	return x
}

// checkProvider returns the provider that a field names, or nil.
func (d *doc) checkProvider(path, name string, x providerIndex) *Provider {
	p := x.byName[name]
	if p == nil && !x.unsure {
		d.fault(path, "no provider %s; %s", quote(name), didYouMean(name, x.names))
	}
	return p
}
