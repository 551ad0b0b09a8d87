package imds

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

// readECS answers a path behind the version.
func (s *Service) readECS(id string, g *cloudsim.Guest, path string, oldKeys bool) answer {
	top, rest, _ := strings.Cut(path, "/")
	switch top {
	case "":
		return plain("dynamic/\nmeta-data/")
	case "dynamic":
		return ecsIdentity(g, rest)
	case "meta-data":
	default:
		return refusal(http.StatusNotFound)
	}
	t, role := ecsTree(g), s.Role(id)
	if role != "" {
		t["ram/security-credentials/"+role] = "there"
		if strings.Trim(rest, "/") == "ram/security-credentials/"+role {
			return s.ecsRole(id, role, oldKeys)
		}
	}
	text, ok := t.read(rest)
	if !ok {
		return refusal(http.StatusNotFound)
	}
	return plain(text)
}

// ecsRole tells the keys of a role.
func (s *Service) ecsRole(id, role string, old bool) answer {
	k := s.given(id, role, old)
	return document(map[string]string{
		"Code": "Success", "LastUpdated": k.Issued.UTC().Format(time.RFC3339), "Expiration": k.Expires.UTC().Format(time.RFC3339),
		"AccessKeyId": k.ID, "AccessKeySecret": k.Secret, "SecurityToken": k.Session,
	})
}

// ecsDocument is the instance identity document.
type ecsDocument struct {
	Zone     string `json:"zone-id"`
	Serial   string `json:"serial-number"`
	Instance string `json:"instance-id"`
	Region   string `json:"region-id"`
	Private  string `json:"private-ipv4"`
	Account  string `json:"owner-account-id"`
	MAC      string `json:"mac"`
	Image    string `json:"image-id"`
	Type     string `json:"instance-type"`
}

// ecsIdentity answers below dynamic. What stands for a signature is none that the
// vendor's certificate would verify.
func ecsIdentity(g *cloudsim.Guest, path string) answer {
	const dir = "instance-identity"
	t := ecsTree(g)
	doc := ecsDocument{
		Zone: t["zone-id"], Serial: t["serial-number"], Instance: t["instance-id"], Region: t["region-id"], Private: t["private-ipv4"],
		Account: t["owner-account-id"], MAC: t["mac"], Image: t["image-id"], Type: t["instance/instance-type"],
	}
	switch strings.Trim(path, "/") {
	case "":
		return plain(dir + "/")
	case dir:
		return plain("document\npkcs7")
	case dir + "/document":
		return document(doc)
	case dir + "/pkcs7":
		return unsigned(doc)
	}
	return refusal(http.StatusNotFound)
}

// ecsTree lays out what an instance is told of itself.
func ecsTree(g *cloudsim.Guest) tree {
	i := &g.Instance
	sum := sha256.Sum256([]byte(i.ID))
	t := tree{
		"instance-id": i.ID, "image-id": i.Image, "region-id": g.Region, "zone-id": i.Zone, "owner-account-id": g.Account,
		"instance/instance-type": i.Type, "instance/instance-name": i.Tags["Name"], "network-type": "vpc",
		"hostname":             "iZ" + strings.TrimPrefix(i.ID, "i-") + "Z",
		"serial-number":        fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16]),
		"dns-conf/nameservers": "100.100.2.136\n100.100.2.138", "ntp-conf/ntp-servers": "ntp.cloud.aliyuncs.com",
	}
	for n := range g.Interfaces {
		one := &g.Interfaces[n]
		t.addECSInterface(one)
		if device, card := index(one); device == 0 && card == 0 {
			t.addECSPrimary(one)
		}
	}
	return t
}

// addECSPrimary lays out what is told of the first interface besides.
func (t tree) addECSPrimary(n *cloudsim.GuestInterface) {
	i := &n.Interface
	for name, text := range map[string]string{
		"mac": i.MAC.String(), "vpc-id": i.VPC, "vpc-cidr-block": prefix(n.VPC.CIDR), "vswitch-id": i.Subnet, "vswitch-cidr-block": prefix(n.Subnet.CIDR),
	} {
		t[name] = text
	}
	if len(i.IPv4) == 0 {
		return
	}
	t["private-ipv4"] = i.IPv4[0].Addr.String()
	if a := i.IPv4[0].Association; a != nil {
		t["eipv4"] = a.Public.String()
	}
}

// addECSInterface lays one interface out. What is empty is absent.
func (t tree) addECSInterface(n *cloudsim.GuestInterface) {
	i := &n.Interface
	dir := "network/interfaces/macs/" + i.MAC.String() + "/"
	for name, text := range map[string]string{
		"network-interface-id": i.ID, "vswitch-id": i.Subnet, "vpc-id": i.VPC,
		"netmask": netmask(n.Subnet.CIDR), "gateway": gateway(n.Subnet.CIDR), "ipv6s": brackets(i.IPv6), "ipv6-gateway": gateway(n.Subnet.CIDR6),
		"vswitch-cidr-block": prefix(n.Subnet.CIDR), "vpc-cidr-block": prefix(n.VPC.CIDR), "vswitch-ipv6-cidr-block": prefix(n.Subnet.CIDR6),
	} {
		t[dir+name] = text
	}
	if n.VPC.CIDR6.IsValid() {
		t[dir+"vpc-ipv6-cidr-blocks"] = brackets([]netip.Prefix{n.VPC.CIDR6})
	}
	if len(i.IPv4) == 0 {
		return
	}
	var all []netip.Addr
	for _, ip := range i.IPv4 {
		all = append(all, ip.Addr)
	}
	text, err := json.Marshal(all)
	if err != nil {
		return // addresses are texts
	}
	t[dir+"private-ipv4s"], t[dir+"primary-ip-address"] = string(text), i.IPv4[0].Addr.String()
}

// brackets is a list as the service has those of IPv6: without quotes.
func brackets[T fmt.Stringer](all []T) string {
	if len(all) == 0 {
		return ""
	}
	return "[" + strings.ReplaceAll(lines(all), "\n", ", ") + "]"
}

func netmask(p netip.Prefix) string {
	if !p.IsValid() {
		return ""
	}
	return net.IP(net.CIDRMask(p.Bits(), p.Addr().BitLen())).String()
}

// gateway is the last address but two of a vSwitch.
func gateway(p netip.Prefix) string {
	if !p.IsValid() {
		return ""
	}
	last := p.Masked().Addr().AsSlice()
	for bit := p.Bits(); bit < 8*len(last); bit++ {
		last[bit/8] |= 0x80 >> (bit % 8)
	}
	a, _ := netip.AddrFromSlice(last)
	return a.Prev().Prev().String()
}
