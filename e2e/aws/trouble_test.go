//go:build linux

package aws

import (
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/ec2"
	"github.com/nicferry/nicferry/internal/cloudsim/iam"
	"github.com/nicferry/nicferry/internal/lab/cloudrig"
	"github.com/nicferry/nicferry/internal/lab/vendors"
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
func networksOfTrouble(r *cloudrig.Rig) string {
	cloud := r.Site.Cloud
	vpc, err := cloud.AddVPC(cloudsim.VPC{CIDR: netip.MustParsePrefix("10.99.0.0/16")})
	r.Must(err)
	group, err := cloud.AddGroup(cloudsim.SecurityGroup{Name: "others", VPC: vpc.ID})
	r.Must(err)
	full, err := cloud.AddSubnet(cloudsim.Subnet{VPC: r.About.VPC, Zone: r.About.Subnets[0].Zone, CIDR: netip.MustParsePrefix("10.80.128.0/28")})
	r.Must(err)
	_, err = cloud.Plant(cloudsim.Foreign{Subnet: full.ID, Count: full.Free})
	r.Must(err)
	a, b := r.About.Subnets[0].ID, r.About.Subnets[1].ID
	in := func(name, subnet, group string) string {
		return r.Vendor.Network(vendors.Network{Name: name, Provider: "cloud", Subnets: []string{subnet}, Groups: []string{group}})
	}
	text := in("nosubnet", "subnet-0123456789abcdef0", r.About.Group) + in("wrongzone", b, r.About.Group) +
		in("othergroup", a, group.ID) + in("full", full.ID, r.About.Group)
	for name := range profilesOfTrouble() {
		its := r.Plain(name)
		its.Provider = name
		text += r.Vendor.Network(its)
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
	account := &iam.Account{}
	profiles := profilesOfTrouble()
	r := world().Start(t, cloudrig.Options{
		Type: "m5.4xlarge", Account: account, Networks: networksOfTrouble,
		Providers: providersOf(profiles), Names: namesOf(profiles), Keys: keysOf(profiles),
		Env: func(r *cloudrig.Rig, dir string) []string {
			file := filepath.Join(dir, "credentials")
			r.Must(os.WriteFile(file, []byte(credentials(r.About, profiles)), 0o600))
			return []string{"AWS_SHARED_CREDENTIALS_FILE=" + file, "AWS_CONFIG_FILE=/dev/null", "AWS_EC2_METADATA_DISABLED=true"}
		},
		Allow: func(r *cloudrig.Rig) {
			r.Everything(account, cloudrig.Admin, r.About.AccessKey)
			for name, p := range profiles {
				r.Everything(account, p.key)
				if name == "powerless" {
					account.Attach(p.key, "role/nicferryd", r.Shipped(account, name, "read-only")...)
				}
			}
		},
	})
	vm1 := r.Agents[0]
	r.Inject(wires()...)
	for name := range troubles {
		r.Run(vm1, name, name)
	}
	checked := check(r)
	t.Log(checked)
	for name, is := range troubles {
		r.In(t, name, func(r *cloudrig.Rig) {
			t := r.T
			out := r.Says(name, is.says...)
			if i := strings.Index(out, "Conditions"); i >= 0 {
				t.Log(out[i:])
			}
			if is.check != "" && !regexp.MustCompile(`(?m)^fault +.*\b`+name+`\b.*`+is.check).MatchString(checked) {
				t.Errorf("config check says nothing of %s with %q:\n%s", name, is.check, checked)
			}
		})
	}
	r.Site.Cloud.Clear()
	for name, is := range troubles {
		if is.mends {
			r.In(t, name+" passes", func(r *cloudrig.Rig) {
				eni := r.CardIs(vm1, name)
				r.Remove(vm1, name, eni)
			})
		}
	}
	r.In(t, "no slot", noSlot)
}

// check is what the config check tells that the operator runs beside the controller.
func check(r *cloudrig.Rig) string {
	r.T.Helper()
	cmd := r.Machine.Command(r.T.Context(), r.Program("nicferryd"), "config", "check", "--online", "--cluster", "any", r.ConfigPath())
	cmd.Env = append(cmd.Env, r.Env...)
	out, err := cmd.CombinedOutput()
	if err == nil {
		r.T.Errorf("the config check finds nothing that is bad:\n%s", out)
	}
	return string(out)
}

// noSlot: an instance whose type takes no more interfaces.
func noSlot(r *cloudrig.Rig) {
	r.T.Helper()
	for n := 0; ; n++ {
		_, err := r.Site.Cloud.Plant(cloudsim.Foreign{Subnet: r.About.Subnets[0].ID, Instance: r.About.Instances[0].ID})
		if err != nil && n > 0 {
			break
		}
		r.Must(err)
	}
	r.Run(r.Agents[0], "crowded", "vpc")
	r.Says("crowded", "Exhausted", `vm1: 0 of \d network interfaces free`)
}
