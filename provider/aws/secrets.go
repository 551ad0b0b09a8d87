package aws

import (
	"context"
	"regexp"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/nicferry/nicferry/provider/secrets"
)

// chain is the SDK's chain of credentials, of which what it finds is kept out of what EC2,
// or something before it, says: a wrong signature is answered with the request as it was
// signed, session token included.
type chain struct {
	from  aws.CredentialsProvider
	words *secrets.Words
}

// Retrieve implements aws.CredentialsProvider.
func (c chain) Retrieve(ctx context.Context) (aws.Credentials, error) {
	got, err := c.from.Retrieve(ctx)
	if err == nil {
		c.words.Learn(got.AccessKeyID, got.SecretAccessKey, got.SessionToken)
	}
	return got, err
}

// signed is what of a signed request's headers can be in a text.
var signed = regexp.MustCompile(`(?i)(AWS4-HMAC-SHA256[^<\n]*|x-amz-security-token:\s*\S+|(Signature|Credential)=[^\s,&<]+|\b[0-9a-f]{64}\b)`)
