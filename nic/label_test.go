package nic_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nicferry/nicferry/nic"
)

// show renders requests as people would write them down.
func show(requests []nic.Request) string {
	var b strings.Builder
	for _, r := range requests {
		b.WriteString(r.Interface + ": network=" + r.Network)
		for _, a := range r.Addrs {
			b.WriteString(" ip=" + a.String())
		}
		if !r.MAC.IsZero() {
			b.WriteString(" mac=" + r.MAC.String())
		}
		if r.DefaultRoute {
			b.WriteString(" default")
		}
		for _, f := range r.Faults {
			b.WriteString(" !" + f.Error())
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestParseLabels(t *testing.T) {
	for name, c := range map[string]struct {
		labels map[string]string
		want   string
	}{
		"none of ours": {map[string]string{"com.example.a": "b"}, ""},
		"short form": {
			map[string]string{"nicferry.network": "web", "nicferry.ip": "10.0.0.7,fd00::7", "nicferry.mac": "02:00:5e:10:00:01"},
			"eth0: network=web ip=10.0.0.7 ip=fd00::7 mac=02:00:5e:10:00:01 default\n",
		},
		"long form, default route by choice": {
			map[string]string{
				"nicferry.network":  "web",
				"nicferry.nic.eth1": "network=storage,ip=10.1.0.7,ip=fd01::7,mac=02:00:5e:10:00:02,default-route=true",
			},
			"eth0: network=web\neth1: network=storage ip=10.1.0.7 ip=fd01::7 mac=02:00:5e:10:00:02 default\n",
		},
		"address without network": {
			map[string]string{"nicferry.ip": "10.0.0.7"},
			"eth0: network= ip=10.0.0.7 default !nicferry.network: is missing: say which network eth0 comes from\n",
		},
		"every fault at once": {
			map[string]string{"nicferry.network": "web", "nicferry.ip": "10.0.0,224.0.0.1,10.0.0.7,10.0.0.7", "nicferry.mac": "01:00:5e:00:00:01"},
			"eth0: network=web ip=10.0.0.7 default" +
				" !nicferry.ip: \"10.0.0\" is not an IP address" +
				" !nicferry.ip: 224.0.0.1 cannot be a container's own address" +
				" !nicferry.ip: 10.0.0.7 is asked for twice" +
				" !nicferry.mac: MAC \"01:00:5e:00:00:01\": is multicast (odd first byte); a NIC needs a unicast address\n",
		},
		"two default routes": {
			map[string]string{"nicferry.nic.eth0": "network=a,default-route=true", "nicferry.nic.eth1": "network=b,default-route=true"},
			"eth0: network=a default\neth1: network=b default !nicferry.nic.eth1: default-route=true is asked by eth0 already\n",
		},
		"both forms for one interface": {
			map[string]string{"nicferry.network": "a", "nicferry.nic.eth0": "network=b"},
			"eth0: network=a default !nicferry.nic.eth0: eth0 asks for network \"a\" already\n",
		},
		"a name that is a typo": {
			map[string]string{"nicferry.network": "a", "nicferry.ipv4": "10.0.0.7"},
			"eth0: network=a default !nicferry.ipv4: no such label; known are nicferry.network, nicferry.ip, nicferry.mac, nicferry.tenant and nicferry.nic.INTERFACE\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, show(nic.ParseLabels(c.labels))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What docker run asks stands alone; what only the image asks is marked.
func TestRequestsTellTheImagesLabels(t *testing.T) {
	image := map[string]string{"nicferry.network": "web", "nicferry.mac": "02:00:5e:10:00:01", "nicferry.nic.eth1": "network=storage"}
	for name, c := range map[string]struct {
		labels map[string]string
		want   string
	}{
		"the image alone": {image, "eth0 web true\neth1 storage true\n"},
		"docker run asks for eth0": {
			map[string]string{"nicferry.network": "lab", "nicferry.mac": "02:00:5e:10:00:01", "nicferry.nic.eth1": "network=storage"},
			"eth0 lab false\neth1 storage true\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			defaults := 0
			for _, r := range nic.Requests(c.labels, image) {
				got += fmt.Sprintf("%s %s %v\n", r.Interface, r.Network, r.FromImage)
				if r.DefaultRoute {
					defaults++
				}
				if !r.FromImage && !r.MAC.IsZero() {
					t.Errorf("%s has the image's MAC", r.Interface)
				}
			}
			if got != c.want || defaults != 1 {
				t.Errorf("got\n%swith %d default routes; want\n%swith one", got, defaults, c.want)
			}
		})
	}
}

// S10: whatever a label says, what comes out is either a fault or a name that
// is safe in a terminal, a path and the kernel.
func TestS10_HostileLabelsBecomeFaults(t *testing.T) {
	for _, hostile := range []string{";rm -rf /", "-f", "\x1b[2J", "../../etc", "abcdefghijklmnop", "", "a/b", "lo", "%d"} {
		for _, labels := range []map[string]string{
			{"nicferry.nic." + hostile: "network=web"},
			{"nicferry.network": hostile + "\x1b"},
		} {
			requests := nic.ParseLabels(labels)
			if len(requests) != 1 || len(requests[0].Faults) == 0 {
				t.Errorf("%q: got %v, want one request with a fault", labels, requests)
				continue
			}
			if text := requests[0].Faults.Error(); strings.ContainsAny(text, "\x1b") {
				t.Errorf("%q: the fault %q would speak to a terminal", labels, text)
			}
		}
	}
}

func FuzzParseLabels(f *testing.F) {
	f.Add("nicferry.nic.eth1", "network=storage,ip=10.1.0.7,mac=02:00:5e:10:00:02,default-route=true")
	f.Add("nicferry.ip", "10.0.0.7,fd00::7")
	f.Add("nicferry.nic.\x1b", "=,=")
	f.Add("nicferry.ip", "fe80::1%\x1b[2J")
	f.Add("nicferry.nic.eth0", "ip=10.0.0.1"+strings.Repeat(",ip=10.0.0.1,ip=10.0.0.2,\x1b", 35))
	f.Fuzz(func(t *testing.T, key, value string) {
		for _, r := range nic.ParseLabels(map[string]string{"nicferry.network": "web", key: value}) {
			if err := nic.CheckInterfaceName(r.Interface); err != nil {
				t.Errorf("interface %q: %v", r.Interface, err)
			}
			if r.Network != "" && nic.CheckName("network", r.Network) != nil {
				t.Errorf("network %q got through", r.Network)
			}
			if strings.ContainsAny(r.Faults.Error(), "\x1b\x00") {
				t.Errorf("fault %q would speak to a terminal", r.Faults.Error())
			}
			if _, err := json.Marshal(r); err != nil {
				t.Errorf("request %+v cannot be sent: %v", r, err)
			}
			if err := r.Check(); err != nil {
				t.Errorf("request %+v would not be taken: %v", r, err)
			}
		}
	})
}

// S13: one container's labels must not fill the store, however many they are.
func TestLabelsAreBounded(t *testing.T) {
	many, wrong := map[string]string{}, map[string]string{nic.LabelNetwork: "web"}
	for i := range 1000 {
		many[fmt.Sprintf("%seth%d", nic.LabelNIC, i)] = "network=web"
		wrong[fmt.Sprintf("%sx%d", nic.LabelPrefix, i)] = ""
	}
	requests := nic.ParseLabels(many)
	if len(requests) != 1 || !strings.Contains(requests[0].Faults.Error(), "1000 interfaces are asked for") {
		t.Errorf("1000 interfaces: got %d requests, the first %+v; want one that says why", len(requests), requests[0])
	}
	requests = nic.ParseLabels(wrong)
	if len(requests) != 1 || len(requests[0].Faults) != 17 || !strings.Contains(requests[0].Faults.Error(), "and 984 faults more") {
		t.Errorf("1000 unknown labels: got %+v", requests)
	}
}
