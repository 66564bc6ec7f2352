"""DigitalOcean's GenAI agent evaluations under ``/v2/gen-ai`` as of 2026-11: the OpenAPI document and pydo 0.44.0.

What the vendor does not state is chosen so that a careless client is caught:

* a missing thing that a body names is 404, as a missing thing of the path is: pydo gives a 404 back as data;
* every PUT of a test case makes a new version, even one that changes nothing; ``metrics`` as a list is refused;
* a threshold is asked for exactly once, within the metric's range, and not of a metric whose values are text;
* a workspace that holds agents or test cases cannot be deleted; a dataset in use can, and runs on it then fail;
* names are never unique; archived test cases are listed; runs of a test case are listed for every version;
* lists without pages ignore ``page``; lists with pages leave ``links`` out when there is only one.
"""
