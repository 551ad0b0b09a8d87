package aws

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestSecretsAreStruckOut: an EC2, or a proxy, that tells all that it was sent
// gets none of it into an error or the log.
func TestSecretsAreStruckOut(t *testing.T) {
	t.Parallel()
	told := "The Canonical String for this request should have been 'POST\n/\nx-amz-security-token:" + testToken + "'\n" +
		"AWS4-HMAC-SHA256 Credential=" + testKey + "/20261121/eu-central-1/ec2/aws4_request, SignedHeaders=host, Signature=" + strings.Repeat("0a", 32) +
		"\nsecret " + testSecret + " " + url.QueryEscape(testToken)
	for name, a := range map[string]answer{
		"refused":     refusal(http.StatusForbidden, "SignatureDoesNotMatch", told),
		"unknown":     refusal(http.StatusBadRequest, "X"+testKey, told),
		"failed":      refusal(http.StatusInternalServerError, "InternalError", told),
		"HTML":        {status: http.StatusBadGateway, raw: true, body: "<html>" + told + "</html>"},
		"half an XML": {status: http.StatusBadRequest, raw: true, body: "<Response><Errors><Error><Code>" + told},
		"for success": {status: http.StatusOK, raw: true, body: told},
	} {
		for verb, action := range map[string]string{"create": apiCreateInterface, "get": apiDescribeInterfaces, "attach": apiAttachInterface, "limits": apiDescribeTypes} {
			t.Run(name+"/"+verb, func(t *testing.T) {
				t.Parallel()
				p, s := scripted(t)
				before(t, p, s, verb)
				s.say(action, a)
				err := do(t, p, verb)
				if err == nil && verb != "limits" { // which has the shipped table
					t.Fatal("no error")
				}
				text := s.log.String()
				if err != nil {
					text += err.Error()
				}
				for _, secret := range []string{testKey, testSecret, testToken, url.QueryEscape(testToken), strings.Repeat("0a", 32), "20261121/eu-central-1"} {
					if strings.Contains(text, secret) {
						t.Errorf("%q is in %s", secret, text)
					}
				}
			})
		}
	}
}

// TestSecretsOfAnEndpoint: a password in the endpoint's URL is in no error.
func TestSecretsOfAnEndpoint(t *testing.T) {
	t.Parallel()
	p, err := New(t.Context(), Options{Name: "cloud", Cluster: "cl-1", Region: "eu-central-1", Endpoint: "http://user:hunter2@127.0.0.1:1", backoff: 1})
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Get(t.Context(), testNIC)
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v; want an error without the password", err)
	}
}
