package auth

// The stable causes with which a policy refuses a request. They are what
// callers read in a problem document's code, and operators in metrics and logs.
// None says which user or key exists.
const (
	CodeMissing        = "auth_missing"                  // no credential that would satisfy the policy
	CodeRepeated       = "credential_repeated"           // one credential sent twice, so it cannot be told which counts
	CodeUnavailable    = "auth_unavailable"              // a method lacks something of ours it needs to decide
	CodeKeySet         = "key_set_unavailable"           // no key set has been fetched yet
	CodeJWTMalformed   = "jwt_malformed"                 //
	CodeJWTTooLong     = "jwt_too_long"                  //
	CodeJWTAlgorithm   = "jwt_algorithm_refused"         // not in the allow-list, or not one for its key
	CodeJWTKey         = "jwt_key_unknown"               // the key set has no such key
	CodeJWTSignature   = "jwt_signature_invalid"         //
	CodeJWTIssuer      = "jwt_issuer_invalid"            //
	CodeJWTAudience    = "jwt_audience_invalid"          //
	CodeJWTExpired     = "jwt_expired"                   //
	CodeJWTNotYetValid = "jwt_not_yet_valid"             //
	CodeAPIKeyUnknown  = "api_key_unknown"               //
	CodeAPIKeyExpired  = "api_key_expired"               //
	CodeAPIKeyEarly    = "api_key_not_yet_valid"         //
	CodeBasicInvalid   = "basic_invalid"                 // unknown user or wrong password
	CodeBasicBusy      = "basic_busy"                    // too many passwords are being checked at once
	CodeCertUnverified = "client_certificate_unverified" // no authority of the listener vouches for it
	CodeCertExpired    = "client_certificate_expired"    // since the connection began
	CodeCertMismatch   = "client_certificate_mismatch"   // none that the policy describes
	CodeRule           = "forbidden_by_rule"             // an expression said no
	CodeCIDR           = "forbidden_by_cidr"             // the client's address is not allowed
	CodeClaim          = "forbidden_by_claim"            // a claim has not the values that are asked for
	CodeRuleError      = "rule_error"                    // an expression failed while it was evaluated
	CodeHeaderValue    = "identity_header_unusable"      // a header for the backend could not be computed
	CodePublicExpired  = "public_expired"                // the rule was public until a time that is past
	CodeClosed         = "policy_closed"                 // the policy is broken

	CodeTokenMalformed       = "token_malformed"           // no access token can look like this
	CodeTokenInactive        = "token_inactive"            // who issued it says that it does not count, or no longer
	CodeTokenType            = "token_type_refused"        // active, and no access token of the kind that is taken
	CodeTokenIssuer          = "token_issuer_invalid"      //
	CodeTokenAudience        = "token_audience_invalid"    //
	CodeTokenEarly           = "token_not_yet_valid"       //
	CodeIntrospection        = "introspection_unavailable" // who issued it gave no answer
	CodeIntrospectionInvalid = "introspection_invalid"     // its answer cannot be understood
	CodeIntrospectionRefused = "introspection_refused"     // it does not take our client's credentials
	CodeIntrospectionBusy    = "introspection_busy"        // as many requests wait for it as may

	CodeMetadata         = "metadata_unavailable"      // who is to be asked about the caller gave no answer
	CodeMetadataInvalid  = "metadata_invalid"          // its answer cannot be understood
	CodeMetadataRefused  = "metadata_refused"          // it does not take the question
	CodeMetadataBusy     = "metadata_busy"             // as many requests wait for it as may
	CodeMetadataUnusable = "metadata_request_unusable" // what it is to be asked cannot be computed
	CodeUserInfoRefused  = "user_info_refused"         // the provider tells nothing for the caller's token, or of somebody else
	CodeUserInfoNoToken  = "user_info_no_token"        // the caller has none

	CodeRego     = "forbidden_by_rego" // a policy in Rego said no
	CodeRegoTime = "rego_timeout"      // it took too long

	CodeClusterToken       = "cluster_token_invalid" // the cluster does not know it, or no longer
	CodeClusterForbidden   = "forbidden_by_cluster"  // the cluster's authorization says no
	CodeClusterUnavailable = "cluster_unavailable"   // its API server gave no answer
	CodeClusterRefused     = "cluster_refused"       // its API server does not let the gateway ask
	CodeClusterBusy        = "cluster_busy"          // as many requests wait for it as may

	CodeSignatureMalformed  = "signature_malformed"         // not RFC 9421, or a part of it that is not supported
	CodeSignatureAlgorithm  = "signature_algorithm_refused" // another than hmac-sha256
	CodeSignatureKey        = "signature_key_unknown"       //
	CodeSignatureKeyEarly   = "signature_key_not_yet_valid" //
	CodeSignatureKeyExpired = "signature_key_expired"       //
	CodeSignatureExpired    = "signature_expired"           // too old, not yet made, or past its own end
	CodeSignatureIncomplete = "signature_incomplete"        // it does not cover what it must
	CodeSignatureInvalid    = "signature_invalid"           //
	CodeSignatureDigest     = "content_digest_invalid"      // the content is not what was signed
	CodeSignatureTooLarge   = "signature_content_too_large" // there is too much content to compare

	CodeExternal            = "forbidden_by_service"      // a service that was asked said no
	CodeExternalUnavailable = "external_auth_unavailable" // it gave no answer
	CodeExternalInvalid     = "external_auth_invalid"     // its answer cannot be understood, or must not be followed
	CodeExternalBusy        = "external_auth_busy"        // as many requests wait for it as may
	CodeExternalTooLarge    = "external_auth_too_large"   // it must see the content, and there is too much of it
)

// The causes with which a request is refused for want of a credential of the gateway's own for backends.
const (
	CodeCredential         = "backend_credential_unavailable" // the token endpoint is down, slow, or answers rubbish
	CodeCredentialClient   = "backend_credential_refused"     // it does not take our client id and secret, or what we ask for
	CodeCredentialUnusable = "backend_credential_unusable"    // what a token says of the caller cannot be computed
	CodeExchangeRefused    = "token_exchange_refused"         // it gives nothing for this caller's token
	CodeExchangeNoSubject  = "token_exchange_no_token"        // the caller has no token to exchange
)
