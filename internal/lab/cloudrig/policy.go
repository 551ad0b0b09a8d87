//go:build linux

package cloudrig

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/iam"
)

// Admin is a caller who may do all: the tests' own hands.
const Admin = "admin"

// Shipped are the policies of these names as we ship them, as their README says, for
// the one provider of that name; the nodes' instances carry the tag that they ask for.
func (r *Rig) Shipped(account *iam.Account, provider string, names ...string) []iam.Document {
	r.T.Helper()
	id := regexp.MustCompile(`provider of [A-Z][A-Za-z ]+ opened.*provider\W+` + provider + `\b.*cluster\W+([a-z0-9]+)`).FindStringSubmatch(r.Log())
	if id == nil {
		r.T.Fatalf("the controller does not log its cluster's id at %s:\n%s", provider, r.Log())
	}
	words := strings.NewReplacer(
		"REGION", account.Region, "ACCOUNT", account.ID, "CLUSTER", id[1], "vpc/VPC", "vpc/"+r.About.VPC,
		"VSWITCH1", r.About.Subnets[0].ID, "VSWITCH2", r.About.Subnets[1].ID, "GROUP", r.About.Group)
	var policies []iam.Document
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join("../../examples", r.Vendor.Policies, name+".json"))
		r.Must(err)
		policies = append(policies, r.policy(account, words.Replace(string(text))))
	}
	for _, i := range r.About.Instances {
		r.Must(r.Site.Cloud.CreateTags(r.T.Context(), cloudsim.Call{Caller: Admin}, []string{i.ID}, cloudsim.Tags{tagCluster: id[1]}))
	}
	return policies
}

func (r *Rig) policy(account *iam.Account, text string) iam.Document {
	r.T.Helper()
	p, err := account.Dialect.Parse([]byte(text))
	r.Must(err)
	return p
}

// Everything lets callers do all.
func (r *Rig) Everything(account *iam.Account, keys ...string) {
	r.T.Helper()
	all := r.policy(account, `{"Version":"`+r.Vendor.PolicyVersion+`","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`)
	for _, key := range keys {
		account.Attach(key, "user/"+key, all)
	}
}
