package nic

import (
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Labels that a container carries to ask for NICs.
const (
	LabelPrefix  = "nicferry."
	LabelNetwork = "nicferry.network" // the short form: one NIC, eth0
	LabelIP      = "nicferry.ip"
	LabelMAC     = "nicferry.mac"
	LabelTenant  = "nicferry.tenant" // whose container it is, for all its NICs
	LabelNIC     = "nicferry.nic."   // the long form: + interface name
	// LabelMove is set by a move on the container that it makes: its id. It asks
	// for nothing: whose a claim is says the controller alone.
	LabelMove = "nicferry.move"
	// LabelClaim is set with it: the claims that the container is to have.
	LabelClaim = "nicferry.claim"
)

// maxLabel bounds the bytes of a label that we read and quote.
const maxLabel = 1024

// A container's labels may be as many as its user likes. Each interface is a
// claim with records and addresses of its own, and each fault is stored.
const (
	maxInterfaces = 32
	maxFaults     = 16 // of one request
)

// ParseLabels reads a container's labels into requests, sorted by interface
// name. Labels outside our prefix are ignored; a container without any of
// ours yields none. What cannot be read becomes a fault of the request it
// belongs to, with the label's name as the field.
func ParseLabels(labels map[string]string) []Request {
	byInterface := map[string]*Request{}
	var tenant *string
	request := func(name string) *Request {
		if byInterface[name] == nil {
			byInterface[name] = &Request{Interface: name}
		}
		return byInterface[name]
	}
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		value := labels[key]
		if !strings.HasPrefix(key, LabelPrefix) {
			continue
		}
		if len(key) > maxLabel || len(value) > maxLabel {
			request("eth0").Faults.Add(clip(key), "longer than %d bytes", maxLabel)
			continue
		}
		name, long := strings.CutPrefix(key, LabelNIC)
		switch {
		case long:
			if err := CheckInterfaceName(name); err != nil {
				request("eth0").Faults.AddErr(quoteField(key), err)
				continue
			}
			request(name).parseLong(key, value)
		case key == LabelNetwork, key == LabelIP, key == LabelMAC:
			request("eth0").parseShort(key, value)
		case key == LabelTenant:
			tenant = &value
		case key == LabelMove, key == LabelClaim: // what a move has made; they ask for nothing
		default:
			request("eth0").Faults.Add(quoteField(key), "no such label; known are %s, %s, %s, %s and %sINTERFACE",
				LabelNetwork, LabelIP, LabelMAC, LabelTenant, LabelNIC)
		}
	}
	if tenant != nil { // alone it asks for no NIC
		for _, r := range byInterface {
			r.setTenant(*tenant)
		}
	}
	return finish(byInterface)
}

// finish checks each request as a whole and settles who carries the default
// route.
func finish(byInterface map[string]*Request) []Request {
	if n := len(byInterface); n > maxInterfaces {
		all := Request{Interface: "eth0", DefaultRoute: true}
		all.Faults.Add(LabelNIC+"*", "%d interfaces are asked for; a container gets %d at most", n, maxInterfaces)
		return []Request{all}
	}
	var requests []Request
	asked := ""
	for _, name := range slices.Sorted(maps.Keys(byInterface)) {
		r := byInterface[name]
		if r.Network == "" && len(r.Faults) == 0 {
			r.Faults.Add(LabelNetwork, "is missing: say which network %s comes from", name)
		}
		if r.DefaultRoute && asked != "" {
			r.Faults.Add(LabelNIC+name, "default-route=true is asked by %s already", asked)
		} else if r.DefaultRoute {
			asked = name
		}
		if more := len(r.Faults) - maxFaults; more > 0 {
			r.Faults = r.Faults[:maxFaults:maxFaults]
			r.Faults.Add(LabelPrefix+"*", "and %d faults more", more)
		}
		requests = append(requests, *r)
	}
	if asked == "" && len(requests) > 0 {
		requests[0].DefaultRoute = true
	}
	return requests
}

func (r *Request) parseShort(key, value string) {
	switch key {
	case LabelNetwork:
		r.setNetwork(key, value)
	case LabelIP:
		for _, s := range strings.Split(value, ",") {
			r.addAddr(key, strings.TrimSpace(s))
		}
	case LabelMAC:
		r.setMAC(key, value)
	}
}

// parseLong reads "network=storage,ip=10.1.0.7,ip=fd01::7,mac=…,default-route=true".
func (r *Request) parseLong(key, value string) {
	for _, part := range strings.Split(value, ",") {
		name, v, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok {
			r.Faults.Add(key, "%q: want name=value", part)
			continue
		}
		switch name {
		case "network":
			r.setNetwork(key, v)
		case "ip":
			r.addAddr(key, v)
		case "mac":
			r.setMAC(key, v)
		case "default-route":
			b, err := strconv.ParseBool(v)
			if err != nil {
				r.Faults.Add(key, "default-route=%q: want true or false", v)
			}
			r.DefaultRoute = b
		default:
			r.Faults.Add(key, "%q: no such name; known are network, ip, mac, default-route", name)
		}
	}
}

func (r *Request) setNetwork(key, value string) {
	if r.Network != "" && r.Network != value {
		r.Faults.Add(key, "%s asks for network %q already", r.Interface, r.Network)
		return
	}
	if err := CheckName("network", value); err != nil {
		r.Faults.AddErr(key, err)
		return
	}
	r.Network = value
}

func (r *Request) setTenant(value string) {
	if err := CheckName("tenant", value); err != nil {
		r.Faults.AddErr(LabelTenant, err)
		return
	}
	r.Tenant = value
}

func (r *Request) addAddr(key, value string) {
	addr, err := netip.ParseAddr(value)
	switch {
	case err != nil:
		r.Faults.Add(key, "%q is not an IP address", value)
	case checkOwnAddr(addr) != nil:
		r.Faults.AddErr(key, checkOwnAddr(addr))
	case slices.Contains(r.Addrs, addr):
		r.Faults.Add(key, "%s is asked for twice", addr)
	case len(r.Addrs) == maxAddrs:
		r.Faults.Add(key, "more than %d addresses", maxAddrs)
	default:
		r.Addrs = append(r.Addrs, addr)
	}
}

func (r *Request) setMAC(key, value string) {
	mac, err := ParseMAC(value)
	if err != nil {
		r.Faults.AddErr(key, err)
		return
	}
	if !r.MAC.IsZero() && r.MAC != mac {
		r.Faults.Add(key, "%s asks for MAC %s already", r.Interface, r.MAC)
		return
	}
	r.MAC = mac
}

// Requests reads a container's labels, of which some come from its image. What
// docker run asks for an interface stands alone; an interface that only the
// image asks for is marked so, for the controller to decide.
func Requests(labels, image map[string]string) []Request {
	own := map[string]string{}
	for key, value := range labels {
		if fromImage, ok := image[key]; !ok || fromImage != value {
			own[key] = value
		}
	}
	requests := ParseLabels(own)
	for _, r := range ParseLabels(labels) {
		if !slices.ContainsFunc(requests, func(o Request) bool { return o.Interface == r.Interface }) {
			r.FromImage = true
			r.DefaultRoute = r.DefaultRoute && len(requests) == 0
			requests = append(requests, r)
		}
	}
	return requests
}

// Equal says whether two requests ask for the same.
func (r Request) Equal(o Request) bool {
	return r.Interface == o.Interface && r.Network == o.Network &&
		slices.Equal(r.Addrs, o.Addrs) && r.MAC == o.MAC && r.Tenant == o.Tenant &&
		r.DefaultRoute == o.DefaultRoute && r.FromImage == o.FromImage && r.Unstarted == o.Unstarted &&
		(r.NUMA == o.NUMA || r.NUMA != nil && o.NUMA != nil && *r.NUMA == *o.NUMA) && slices.Equal(r.Faults, o.Faults)
}

// quoteField keeps a hostile label name from speaking to a terminal.
func quoteField(key string) string {
	if q := strconv.Quote(key); q != `"`+key+`"` {
		return q
	}
	return key
}
