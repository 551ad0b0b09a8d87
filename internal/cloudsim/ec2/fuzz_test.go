package ec2

import (
	"net/url"
	"testing"
)

// Whatever a body says, it is understood or refused, and not for long.
func FuzzParse(f *testing.F) {
	f.Add("Action=CreateNetworkInterface&Version=2016-11-15&SubnetId=s&Ipv4Prefix.1.Ipv4Prefix=10.0.0.0/28")
	f.Add("Action=CreateTags&Version=2016-11-15&ResourceId.99999999999999999999=x&Tag..=&.=")
	f.Add("Action=ModifyNetworkInterfaceAttribute&Version=2016-11-15&NetworkInterfaceId=e&Description.Value.Value=x&Attachment=x")
	f.Add("Action=DescribeNetworkInterfaces&Version=2016-11-15&Filter.1=x&Filter.1.Value.1.1=y&MaxResults=-0")
	face := New(Options{})
	f.Fuzz(func(t *testing.T, body string) {
		values, err := url.ParseQuery(body)
		if err != nil {
			return
		}
		for _, strict := range []bool{true, false} {
			asked, no := face.parse(values, strict)
			if no == nil && (asked.action.run == nil || asked.call.API == "") {
				t.Errorf("%q: neither understood nor refused: %+v", body, asked)
			}
			if no != nil && (no.code == "" || no.status < 400) {
				t.Errorf("%q: refused without a word: %+v", body, no)
			}
		}
	})
}
