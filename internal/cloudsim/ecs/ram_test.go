package ecs

import (
	"net/http"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/iam"
)

// ramWorld is one in which test is a user of RAM, and brief a session of role node.
func ramWorld(t *testing.T, statements string) *world {
	t.Helper()
	account := &iam.Account{Dialect: iam.RAM(), Region: "cn-hangzhou", ID: "1234567890123456", Assumed: func(access string) (iam.Session, bool) {
		return iam.Session{Role: "node", Name: "i-1"}, access == "brief"
	}}
	p := must(iam.RAM().Parse([]byte(`{"Version":"1","Statement":[` + statements + `]}`)))(t)
	account.Attach("test", "user/nicferryd", p)
	account.AttachRole("node", p)
	return newWorld(t, cloudsim.Options{Policy: account})
}

// role makes a call with a temporary key.
func (w *world) role(action string, pairs ...string) (int, map[string]any) {
	w.Helper()
	v := w.values(action, append([]string{"AccessKeyId", "brief", "SecurityToken", "tok"}, pairs...)...)
	v.Set("Signature", Sign("b", http.MethodPost, v))
	return w.send(v)
}

// What RAM does not allow is refused in its words, with the action that lacks.
func TestRAMRefusesInItsWords(t *testing.T) {
	w := ramWorld(t, `{"Effect":"Allow","Action":"ecs:Describe*","Resource":"*"},{"Effect":"Deny","Action":"vpc:*","Resource":"*"}`)
	for _, tt := range []struct {
		send      func(action string, pairs ...string) (int, map[string]any)
		principal string
		name      string
	}{
		{w.role, "AssumedRoleUser", "node:i-1"},
		{func(action string, pairs ...string) (int, map[string]any) {
			v := w.values(action, pairs...)
			v.Set("Signature", Sign("s3cret", http.MethodPost, v))
			return w.send(v)
		}, "SubUser", "nicferryd"},
	} {
		if status, got := tt.send("DescribeNetworkInterfaces"); status != http.StatusOK {
			t.Errorf("what is allowed is answered %d %v", status, got)
		}
		for action, want := range map[string][3]string{
			"CreateNetworkInterface": {"Forbidden.RAM", "ecs:CreateNetworkInterface", "ImplicitDeny"},
			"AllocateEipAddress":     {"NoPermission", "vpc:AllocateEipAddress", "ExplicitDeny"},
		} {
			pairs := []string{"VSwitchId", w.vSwitch, "SecurityGroupId", w.group}
			if action == "AllocateEipAddress" {
				pairs = nil
			}
			status, got := tt.send(action, pairs...)
			if status != http.StatusForbidden || got["Code"] != want[0] || dig(got, "AccessDeniedDetail.AuthAction") != want[1] ||
				dig(got, "AccessDeniedDetail.NoPermissionType") != want[2] || dig(got, "AccessDeniedDetail.AuthPrincipalType") != tt.principal ||
				dig(got, "AccessDeniedDetail.AuthPrincipalDisplayName") != tt.name || dig(got, "AccessDeniedDetail.AuthPrincipalOwnerId") != "1234567890123456" {
				t.Errorf("%s answers %d %v", action, status, got)
			}
		}
	}
	if got := w.try("DeleteNetworkInterface", "NetworkInterfaceId", "eni-00000000000000000001"); got != "Forbidden.RAM" {
		t.Errorf("of what is not there one without the permission is told %s", got)
	}
}

// The address that a call comes from is one that a policy can ask for.
func TestRAMKnowsWhereACallComesFrom(t *testing.T) {
	for block, want := range map[string]int{"192.0.2.0/24": http.StatusOK, "198.51.100.0/24": http.StatusForbidden} { // httptest asks from 192.0.2.1
		w := ramWorld(t, `{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"IpAddress":{"acs:SourceIp":"`+block+`"}}}`)
		if status, got := w.role("DescribeNetworkInterfaces"); status != want {
			t.Errorf("%s: answered %d %v", block, status, got)
		}
	}
}

// The keys of a role end, whatever its policies.
func TestARolesKeysEnd(t *testing.T) {
	w := ramWorld(t, `{"Effect":"Allow","Action":"*","Resource":"*"}`)
	if status, got := w.role("DescribeNetworkInterfaces"); status != http.StatusOK {
		t.Errorf("answered %d %v", status, got)
	}
	must(w.cloud.Inject(cloudsim.Fault{Verb: cloudsim.ClockSkew, Delay: 61 * 60 * 1e9}))(t)
	v := w.values("DescribeNetworkInterfaces", "AccessKeyId", "brief", "SecurityToken", "tok", "Timestamp", time.Now().Add(61*time.Minute).UTC().Format(stamp))
	v.Set("Signature", Sign("b", http.MethodPost, v))
	if status, got := w.send(v); status != http.StatusBadRequest || got["Code"] != "InvalidSecurityToken.Expired" {
		t.Errorf("an hour later: %d %v", status, got)
	}
}
