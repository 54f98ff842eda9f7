from stereozero.provenance import code_version, environment


def test_a_record_names_code_libraries_and_machine():
    facts = environment()
    assert facts["code"] == code_version()
    assert facts["libraries"].keys() >= {"numpy", "torch"}
    assert facts["peak_memory_mb"]["host"] > 10
    assert facts["device"]
