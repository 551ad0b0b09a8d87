//go:build linux

package aws

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/ec2"
	"github.com/nicferry/nicferry/internal/cloudsim/iam"
)

// A trouble is what is wrong for the containers of the network of its name.
type trouble struct {
	says  []string // what `nicferry describe claim` has
	check string   // what a line of `nicferryd config check --online` has; "" is none
	mends bool     // it passes once the faults are over, without a hand
}

// troubles are by network, those of profiles first.
var troubles = map[string]trouble{
	"faraway":    {says: []string{"ProviderError", "us-east-1"}, check: "a valid region, not 'us-east-1'"},
	"powerless":  {says: []string{"ProviderError", "IAM policy must allow ec2:CreateNetworkInterface"}, check: "ec2:CreateNetworkInterface.*is missing"},
	"expired":    {says: []string{"ProviderError", "credentials have expired"}, check: "credentials have expired"},
	"stranger":   {says: []string{"ProviderError", "AuthFailure", "credentials"}, check: "AuthFailure"},
	"proxied":    {says: []string{"ProviderUnreachable", "a web page where an answer of EC2 was due; is the endpoint right"}, check: "a web page", mends: true},
	"silent":     {says: []string{"ProviderUnreachable", "nothing where an answer of EC2 was due"}, check: "with nothing", mends: true},
	"broken":     {says: []string{"ProviderUnreachable", "unexpected EOF"}, check: "unexpected EOF", mends: true},
	"limited":    {says: []string{"Exhausted|ProviderError", "NetworkInterfaceLimitExceeded"}},
	"nosubnet":   {says: []string{"ProviderError", "no subnet subnet-0123456789abcdef0", "of this region and account"}, check: "subnet-0123456789abcdef0.*there is none"},
	"wrongzone":  {says: []string{"ProviderError", "none of the network's subnets .* is in zone eu-central-1a, where the node is"}},
	"othergroup": {says: []string{"ProviderError", "belong to different networks"}, check: "group sg-.*and the subnets are not"},
	"full":       {says: []string{"Exhausted", "no address is free in the subnets of zone eu-central-1a"}, check: "no address is free"},
}

// profilesOfTrouble are the callers who are in it.
func profilesOfTrouble() map[string]profile {
	key := func(name string) profile {
		return profile{key: "AKIA" + strings.ToUpper(name), Key: ec2.Key{Secret: "secret-of-" + name}}
	}
	all := map[string]profile{}
	for _, name := range []string{"faraway", "powerless", "expired", "stranger", "proxied", "silent", "broken", "limited"} {
		all[name] = key(name)
	}
	far, old, who := all["faraway"], all["expired"], all["stranger"]
	far.region, old.Session, old.Expires, who.unknown = "us-east-1", "a-session", time.Now().Add(-time.Hour), true
	all["faraway"], all["expired"], all["stranger"] = far, old, who
	return all
}

// networksOfTrouble are a network for each.
func networksOfTrouble(r *rig) string {
	cloud := r.site.Cloud
	vpc, err := cloud.AddVPC(cloudsim.VPC{CIDR: netip.MustParsePrefix("10.99.0.0/16")})
	r.do(err)
	group, err := cloud.AddGroup(cloudsim.SecurityGroup{Name: "others", VPC: vpc.ID})
	r.do(err)
	full, err := cloud.AddSubnet(cloudsim.Subnet{VPC: r.about.VPC, Zone: r.about.Subnets[0].Zone, CIDR: netip.MustParsePrefix("10.80.128.0/28")})
	r.do(err)
	_, err = cloud.Plant(cloudsim.Foreign{Subnet: full.ID, Count: full.Free})
	r.do(err)
	a, b := r.about.Subnets[0].ID, r.about.Subnets[1].ID
	text := networkIn("nosubnet", "cloud", "subnet-0123456789abcdef0", r.about.Group) +
		networkIn("wrongzone", "cloud", b, r.about.Group) +
		networkIn("othergroup", "cloud", a, group.ID) +
		networkIn("full", "cloud", full.ID, r.about.Group)
	for name := range profilesOfTrouble() {
		text += r.network(name, name)
	}
	return text
}

// wires are the faults that last until they are cleared.
func wires() []cloudsim.Fault {
	return []cloudsim.Fault{
		{Verb: cloudsim.HTML, Status: 200, Caller: "AKIAPROXIED", Count: -1},
		{Verb: cloudsim.Empty, Caller: "AKIASILENT", Count: -1},
		{Verb: cloudsim.Half, Caller: "AKIABROKEN", Count: -1},
		{Verb: cloudsim.Limit, API: "CreateNetworkInterface", Caller: "AKIALIMITED", Count: -1},
	}
}

// Whatever is wrong with a cloud, its account or the config, the user is told in words
// that say what to do: of a container that waits, and before there is any.
func TestTroubleIsTold(t *testing.T) {
	t.Parallel()
	account := &iam.Account{Region: "eu-central-1", ID: "111122223333"}
	profiles := profilesOfTrouble()
	r := start(t, options{
		kind: "m5.4xlarge", cloud: cloudsim.Options{Policy: account}, profiles: profiles, networks: networksOfTrouble,
		allow: func(r *rig) {
			r.everything(account, admin, r.about.AccessKey)
			for name, p := range profiles {
				r.everything(account, p.key)
				if name == "powerless" {
					r.shipped(account, p.key, name, "read-only")
				}
			}
		},
	})
	vm1 := r.Agents[0]
	r.inject(wires()...)
	for name := range troubles {
		r.run(vm1, name, name)
	}
	checked := r.check()
	t.Log(checked)
	for name, is := range troubles {
		r.in(t, name, func(r *rig) {
			t := r.t
			out := r.says(name, is.says...)
			if i := strings.Index(out, "Conditions"); i >= 0 {
				t.Log(out[i:])
			}
			if is.check != "" && !regexp.MustCompile(`(?m)^fault +.*\b`+name+`\b.*`+is.check).MatchString(checked) {
				t.Errorf("config check says nothing of %s with %q:\n%s", name, is.check, checked)
			}
		})
	}
	r.site.Cloud.Clear()
	for name, is := range troubles {
		if is.mends {
			r.in(t, name+" passes", func(r *rig) {
				eni := r.cardIs(vm1, name)
				r.remove(vm1, name, eni)
			})
		}
	}
	r.in(t, "no slot", func(r *rig) { r.noSlot() })
}

// check is what the config check tells that the operator runs beside the controller.
func (r *rig) check() string {
	r.t.Helper()
	cmd := r.Machine.Command(r.t.Context(), r.Program("nicferryd"), "config", "check", "--online", "--cluster", "any", r.ConfigPath())
	cmd.Env = append(cmd.Env, r.env...)
	out, err := cmd.CombinedOutput()
	if err == nil {
		r.t.Errorf("the config check finds nothing that is bad:\n%s", out)
	}
	return string(out)
}

// noSlot: an instance whose type takes no more interfaces.
func (r *rig) noSlot() {
	r.t.Helper()
	for n := 0; ; n++ {
		_, err := r.site.Cloud.Plant(cloudsim.Foreign{Subnet: r.about.Subnets[0].ID, Instance: r.about.Instances[0].ID})
		if err != nil && n > 0 {
			break
		}
		r.do(err)
	}
	r.run(r.Agents[0], "crowded", "vpc")
	r.says("crowded", "Exhausted", `vm1: 0 of \d network interfaces free`)
}
