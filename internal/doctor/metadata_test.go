package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/imds"
)

// ec2 has the patient be an instance, whose metadata service meets a fault.
func ec2(role string, faults ...imds.Fault) func(p *patient) {
	return instanceOf("Amazon EC2", imds.EC2(), role, faults)
}

// ecs is the same in Alibaba Cloud, without a need of tokens.
func ecs(role string, faults ...imds.Fault) func(p *patient) {
	return instanceOf("Alibaba Cloud", imds.ECS(), role, faults)
}

func instanceOf(vendor string, dialect imds.Dialect, role string, faults []imds.Fault) func(p *patient) {
	return func(p *patient) {
		p.put("sys/class/dmi/id/sys_vendor", vendor+"\n")
		service := imds.New(imds.Options{Source: oneGuest{}, Dialect: dialect, Optional: true, Role: func(string) string { return role }})
		must(p.t, service.Inject(faults...))
		l, err := service.Listen(p.t.Context(), "i-1", "127.0.0.1:0")
		must(p.t, err)
		p.t.Cleanup(func() { l.Close() })
		p.Network = detour{p.Network, strings.TrimPrefix(l.URL, "http://")}
	}
}

type oneGuest struct{}

func (oneGuest) Guest(string) (cloudsim.Guest, error) {
	return cloudsim.Guest{Instance: cloudsim.Instance{ID: "i-1", Type: "m5.large", Zone: "eu-central-1a"}, Region: "eu-central-1"}, nil
}

// detour leads the services' addresses to the one that serves it.
type detour struct {
	Network
	to string
}

func (d detour) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if address == "169.254.169.254:80" || address == "100.100.100.200:80" {
		return new(net.Dialer).DialContext(ctx, network, d.to)
	}
	return d.Network.DialContext(ctx, network, address)
}

const (
	routes4      = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\neth0\t00000000\t0100010A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
	blackhole4   = "*\tFEA9FEA9\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0\n"
	noRoute4     = "*\tFEA9FEA9\t00000000\t0205\t0\t0\t0\tFFFFFFFF\t0\t0\t0\n"
	linkLocal4   = "eth0\t0000FEA9\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
	none         = "00000000000000000000000000000000"
	blackholeECS = "*\tC8646464\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0\n"
	routes6      = none + " 00 " + none + " 00 " + none + " 00000400 00000001 00000000 00000001     eth0\n"
	blackhole6   = "fd000ec2000000000000000000000254 80 " + none + " 00 " + none + " 00000400 00000001 00000000 00200200       lo\n"
	unroutable6  = none + " 00 " + none + " 00 " + none + " ffffffff 00000001 00000000 00200200       lo\n"
)

// containers has Docker run some with NICs of their own, by their routing
// tables of IPv4 and IPv6, and one without.
func containers(p *patient, tables ...string) {
	p.remove("run/docker.sock")
	type container struct {
		ID     string `json:"Id"`
		Names  []string
		Labels map[string]string
		State  struct{ Pid int }
	}
	other := container{ID: "cother", Names: []string{"/other"}, Labels: map[string]string{"com.example": "x"}}
	other.State.Pid = 99
	p.put("proc/99/net/route", routes4)
	all := []container{other}
	for i := 0; i < len(tables); i += 2 {
		c := container{ID: fmt.Sprintf("c%d", i/2), Names: []string{fmt.Sprintf("/web%d", i/2)}, Labels: map[string]string{"nicferry.network": "lan"}}
		c.State.Pid = 100 + i
		p.put(fmt.Sprintf("proc/%d/net/route", c.State.Pid), tables[i])
		p.put(fmt.Sprintf("proc/%d/net/ipv6_route", c.State.Pid), tables[i+1])
		all = append(all, c)
	}
	serve(p.t, p.path("run/docker.sock"), func(w http.ResponseWriter, r *http.Request) {
		answers := map[string]any{"/version": map[string]string{"Version": "24.0.7", "ApiVersion": "1.43"}, "/info": struct{}{}, "/containers/json": all}
		for _, c := range all {
			answers["/containers/"+c.ID+"/json"] = c
		}
		json.NewEncoder(w).Encode(answers[r.URL.Path])
	})
}

func TestHarmOfAnInstance(t *testing.T) {
	t.Parallel()
	off := imds.Fault{Verb: imds.Off}
	nodeOnly := func(p *patient) { p.remove("etc/nicferry/nicferryd.yaml") }
	with := func(all ...func(*patient)) func(*patient) {
		return func(p *patient) {
			for _, do := range all {
				do(p)
			}
		}
	}
	runs := func(tables ...string) func(*patient) { return func(p *patient) { containers(p, tables...) } }
	for name, h := range map[string]harm{
		"well":         {nil, ec2(""), "OK metadata: i-1, a m5.large in eu-central-1a, reaches its metadata service", ""},
		"of Xen":       {nil, with(ec2(""), func(p *patient) { p.remove("sys/class/dmi"); p.put("sys/hypervisor/uuid", "ec2e1916-9099") }), "OK metadata: i-1, a m5.large", ""},
		"with a role":  {nil, ec2("web-role"), `OK metadata: other containers are kept from the keys of the role "web-role" by the hop limit alone`, ""},
		"off":          {nil, ec2("", off), "WARN metadata: a role's credentials and the region come from there", "--http-endpoint enabled --http-tokens required"},
		"off, a node":  {nil, with(ec2("", off), nodeOnly), "OK metadata: the agent needs no metadata service, and has none", ""},
		"a portal":     {nil, with(ec2("", imds.Fault{Verb: cloudsim.HTML}), nodeOnly), "WARN metadata: something else answers for the metadata service", "ip route get 169.254.169.254"},
		"silent":       {nil, with(hurry, ec2("", imds.Fault{Verb: imds.Silent})), "said nothing for 300ms", "--http-endpoint enabled"},
		"no network":   {nil, with(ec2(""), func(p *patient) { p.Network = nil }), "WARN metadata: cannot look: the metadata service is not asked here", ""},
		"closed":       {nil, with(ec2(""), runs(routes4+blackhole4, blackhole6+routes6)), "OK metadata: 1 containers with NICs of their own have no way to the metadata service", ""},
		"unreachable":  {nil, with(ec2(""), runs(routes4+noRoute4, unroutable6)), "OK metadata: 1 containers with NICs", ""},
		"no routes":    {nil, with(ec2(""), runs("", "")), "OK metadata: 1 containers with NICs", ""},
		"strange":      {nil, with(ec2(""), runs("a\tb\tc\tx\te\tf\tg\th\n\n", "zz 99\n"+strings.Repeat("q ", 10))), "OK metadata: 1 containers with NICs", ""},
		"open":         {nil, with(ec2("web-role"), runs(routes4+blackhole4, routes6+blackhole6, routes4, "")), `WARN metadata: container web1 has a route to 169.254.169.254, and so the keys of the role "web-role"`, "metadata: true"},
		"open by link": {nil, with(ec2(""), runs(linkLocal4, "")), "WARN metadata: container web0 has a route to 169.254.169.254", "metadata: true"},
		"open in IPv6": {nil, with(ec2(""), runs(blackhole4+routes4, routes6)), "WARN metadata: container web0 has a route to fd00:ec2::254", "metadata: true"},
		"of ECS":       {nil, ecs(""), "OK metadata: i-1, a m5.large in eu-central-1a, reaches its metadata service", ""},
		"of ECS by product": {nil, with(ecs(""), func(p *patient) {
			p.remove("sys/class/dmi/id/sys_vendor")
			p.put("sys/class/dmi/id/product_name", "Alibaba Cloud ECS\n")
		}), "OK metadata: i-1, a m5.large", ""},
		"of ECS, a role":   {nil, ecs("web-role"), `OK metadata: the cloud keeps no container from the keys of the role "web-role"`, ""},
		"of ECS, off":      {nil, ecs("", off), "WARN metadata: a role's credentials and the region come from there", "aliyun ecs ModifyInstanceMetadataOptions --HttpEndpoint enabled"},
		"of ECS, a portal": {nil, ecs("", imds.Fault{Verb: cloudsim.HTML}), "WARN metadata: something else answers for the metadata service", "ip route get 100.100.100.200"},
		"of ECS, nothing":  {nil, ecs("", imds.Fault{Verb: cloudsim.Empty}), "WARN metadata: something else answers for the metadata service", "ip route get 100.100.100.200"},
		"of ECS, silent":   {nil, with(hurry, ecs("", imds.Fault{Verb: imds.Silent})), "said nothing for 300ms", "aliyun ecs"},
		"of ECS, open":     {nil, with(ecs("web-role"), runs(routes4+blackhole4, routes6)), `WARN metadata: container web0 has a route to 100.100.100.200, and so the keys of the role "web-role"`, "metadata: true"},
		"of ECS, closed":   {nil, with(ecs(""), runs(routes4+blackholeECS, routes6)), "OK metadata: 1 containers with NICs of their own have no way to the metadata service", ""},
		"open in both":     {nil, with(ec2(""), runs(routes4, routes6)), "has a route to 169.254.169.254 and fd00:ec2::254", "metadata: true"},
	} {
		t.Run(name, h.try)
	}
}

// Elsewhere nobody is asked, and containers of others are nobody's business.
func TestMetadataWhereThereIsNone(t *testing.T) {
	t.Parallel()
	p := newPatient(t, nil)
	containers(p, routes4, routes6)
	p.Network = detour{p, "127.0.0.1:1"}
	text := render(Examine(t.Context(), p.Machine))
	if !strings.Contains(text, "OK metadata: no instance of EC2 or ECS") || strings.Count(text, " metadata: ") != 1 {
		t.Errorf("found\n%s", text)
	}
	ec2("")(p)
	text = render(Examine(t.Context(), p.Machine))
	if strings.Contains(text, "container other") {
		t.Errorf("a container without NICs of ours is told of:\n%s", text)
	}
}
