"""Debian's LemonLDAP::NG, another genuine OpenID Connect provider, with its own three demonstration people."""

import json
import re
import secrets
import shutil
import subprocess
import time
from pathlib import Path
from urllib.parse import urljoin

import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from oidc_provider import Browser, free_port

START_SECONDS_MAX = 60
TEMPLATES = "/usr/share/lemonldap-ng/portal/templates"


def require() -> None:
    """Skips where it is not installed: `make test-python` does that where it has the right to."""
    known = shutil.which("plackup") and subprocess.run(
        ["perl", "-MLemonldap::NG::Portal::Main", "-MLemonldap::NG::Portal::Issuer::OpenIDConnect", "-e", "1"], capture_output=True, check=False).returncode == 0
    if not known:
        pytest.skip("no liblemonldap-ng-portal-perl: the test with LemonLDAP::NG needs Debian's package of it")


class LemonLdap:
    """A running portal, with one client."""

    def __init__(self, folder: Path, redirect_uri: str):
        require()
        self.folder, self.port = folder / "lemonldap", free_port()
        self.issuer = f"http://127.0.0.1:{self.port}/"
        self.client = {"client_id": "cairn", "client_secret": secrets.token_urlsafe(32)}
        self.redirect_uri = redirect_uri
        self.process = None

    def settings(self) -> dict:
        key = rsa.generate_private_key(65537, 2048)
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL,
                                    serialization.NoEncryption()).decode()
        public = key.public_key().public_bytes(serialization.Encoding.PEM,
                                               serialization.PublicFormat.SubjectPublicKeyInfo).decode()
        store = {"Directory": str(self.folder / "sessions"), "LockDirectory": str(self.folder / "locks"),
                 "generateModule": "Lemonldap::NG::Common::Apache::Session::Generate::SHA256"}
        persistent = {"Directory": str(self.folder / "persistent"), "LockDirectory": str(self.folder / "locks")}
        return {
            "cfgNum": 1, "cfgAuthor": "test", "cfgDate": 1, "domain": "127.0.0.1", "portal": self.issuer,
            "authentication": "Demo", "userDB": "Same", "passwordDB": "Null", "registerDB": "Null",
            "demoExportedVars": {"cn": "cn", "mail": "mail", "uid": "uid"}, "whatToTrace": "uid", "requireToken": 0,
            "cookieName": "lemonldap", "securedCookie": 0, "timeout": 3600, "captcha_register_enabled": 0,
            "captcha_mail_enabled": 0, "captcha_login_enabled": 0,
            "globalStorage": "Apache::Session::File", "globalStorageOptions": store,
            "persistentStorage": "Apache::Session::File", "persistentStorageOptions": persistent,
            "locationRules": {"127.0.0.1": {"default": "accept"}}, "portalAntiFrame": 1, "checkXSS": 1, "notification": 0,
            "issuerDBOpenIDConnectActivation": 1, "issuerDBOpenIDConnectPath": "^/oauth2/", "issuerDBOpenIDConnectRule": 1,
            "oidcServicePrivateKeySig": private, "oidcServicePublicKeySig": public, "oidcServiceKeyIdSig": "demo",
            "oidcServiceAllowAuthorizationCodeFlow": 1, "oidcServiceMetaDataAuthorizeURI": "authorize",
            "oidcServiceMetaDataTokenURI": "token", "oidcServiceMetaDataUserInfoURI": "userinfo",
            "oidcServiceMetaDataJWKSURI": "jwks", "oidcServiceMetaDataEndSessionURI": "logout",
            "oidcServiceMetaDataAuthnContext": {"loa-1": 1},
            "oidcRPMetaDataOptions": {"cairn": {
                "oidcRPMetaDataOptionsClientID": self.client["client_id"],
                "oidcRPMetaDataOptionsClientSecret": self.client["client_secret"],
                "oidcRPMetaDataOptionsRedirectUris": self.redirect_uri, "oidcRPMetaDataOptionsBypassConsent": 1,
                "oidcRPMetaDataOptionsIDTokenSignAlg": "RS256", "oidcRPMetaDataOptionsRequirePKCE": 1,
                "oidcRPMetaDataOptionsIDTokenForceClaims": 0, "oidcRPMetaDataOptionsUserIDAttr": "uid"}},
            "oidcRPMetaDataExportedVars": {"cairn": {"name": "cn", "email": "mail", "groups": "groups;array;always"}},
            "oidcRPMetaDataOptionsExtraClaims": {"cairn": {"groups": "groups"}},
            "groups": {"timelords": "$uid eq 'dwho'", "earthlings": "$uid ne 'dwho'"},
        }

    def __enter__(self) -> "LemonLdap":
        for name in ("conf", "sessions", "persistent", "locks"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "conf" / "lmConf-1.json").write_text(json.dumps(self.settings()))
        ini = self.folder / "lemonldap-ng.ini"
        ini.write_text("[all]\nlogLevel = warn\ncheckTime = 1\n"
                       f"[configuration]\ntype = File\ndirName = {self.folder}/conf\n"
                       f"[portal]\ntemplateDir = {TEMPLATES}\nstaticPrefix = /static\nlanguages = en\n")
        program = "use Lemonldap::NG::Portal::Main; Lemonldap::NG::Portal::Main->run({})"
        self.log = open(self.folder / "log", "ab")
        self.process = subprocess.Popen(
            ["plackup", "--host", "127.0.0.1", "--port", str(self.port), "--env", "deployment", "-e", program],
            env={"PATH": "/usr/bin:/bin", "LLNG_DEFAULTCONFFILE": str(ini), "HOME": str(self.folder)},
            stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if requests.get(f"{self.issuer}.well-known/openid-configuration", timeout=10).ok:
                    return self
            except requests.ConnectionError:
                pass
            time.sleep(0.2)
        self.__exit__()
        raise RuntimeError(f"LemonLDAP::NG did not start: {(self.folder / 'log').read_text()[:3000]}")

    def __exit__(self, *_exc) -> None:
        self.process.kill()
        self.process.wait()
        self.log.close()


class Visitor(Browser):
    """A browser that fills in the portal's form."""

    def go(self, url: str, until: str = "") -> requests.Response:
        answer = self.get(url, timeout=60)
        for _ in range(5):
            if 'name="password"' not in answer.text:
                return answer
            hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', answer.text))
            answer = self.post(urljoin(answer.url, answer.url), data={**hidden, "user": self.person, "password": self.person},
                               timeout=60)
        raise RuntimeError(f"the portal asks again and again: {answer.text[:2000]}")
